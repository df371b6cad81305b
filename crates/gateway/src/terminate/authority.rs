//! The gateway's own certificate authority. An agent that takes the gateway for a proxy speaks TLS with its
//! target by name; so the gateway shows a certificate in that name. The authority is good for the hosts of
//! the gateway's targets and for nothing else (RFC 5280, section 4.2.1.10): who trusts it gives the gateway
//! no say over any other connection, and neither does who steals it.
//!
//! Its key stays the same; its certificate is made anew at each start, for the targets that there are. One
//! that was handed out before goes on being good for the hosts that were targets then.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose,
    NameConstraints, SerialNumber,
};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use time::OffsetDateTime;

use crate::limits::{AUTHORITY_TIME, CLOCK_SKEW, STANDIN_SHOWN, STANDIN_TIME};
use crate::tls::{TlsError, in_file, provider, write_private};

/// The gateway's certificate authority.
pub(crate) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// Its certificate, as PEM.
    certificate: String,
    hosts: BTreeSet<String>,
    standins: Mutex<HashMap<String, (Instant, Arc<ServerConfig>)>>,
}

impl Authority {
    /// Of a gateway of this name, for these hosts. The key is `ca.key` in the folder, made if there is none;
    /// the certificate is written to `ca.pem`, for whoever wants to trust it.
    ///
    /// # Errors
    /// If the folder cannot be read or written, or the file holds no key.
    pub(crate) fn open<'h>(
        folder: &Path,
        name: &str,
        hosts: impl IntoIterator<Item = &'h str>,
    ) -> Result<Self, TlsError> {
        let hosts: BTreeSet<_> = hosts.into_iter().map(bare).collect();
        let path = folder.join("ca.key");
        if !path.exists() {
            let made = KeyPair::generate()?.serialize_pem();
            write_private(&path, &made).map_err(|error| in_file(&path, &error))?;
        }
        let text = std::fs::read_to_string(&path).map_err(|error| in_file(&path, &error))?;
        let key = KeyPair::from_pem(&text).map_err(|error| in_file(&path, &error))?;
        let params = authority(name, &hosts)?;
        let certificate = params.self_signed(&key)?.pem();
        let path = folder.join("ca.pem");
        write_private(&path, &certificate).map_err(|error| in_file(&path, &error))?;
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            hosts,
            standins: Mutex::default(),
        })
    }

    /// Its certificate, as PEM.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// The gateway's TLS in the name of a target's host. It is for this host alone: an agent that asks for
    /// another one in its hello gets no certificate.
    ///
    /// # Errors
    /// If the host is none of a target, or no certificate can be made.
    pub(crate) fn in_the_name_of(&self, host: &str) -> Result<Arc<ServerConfig>, TlsError> {
        let host = bare(host);
        if !self.hosts.contains(&host) {
            let what = "a certificate for a host that is no target's".to_owned();
            return Err(TlsError::Unusable(rustls::Error::General(what)));
        }
        let mut standins = self.standins.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, config)) = standins.get(&host)
            && since.elapsed() < STANDIN_SHOWN
        {
            return Ok(Arc::clone(config));
        }
        let config = Arc::new(self.stand_in(&host)?);
        standins.insert(host, (Instant::now(), Arc::clone(&config)));
        Ok(config)
    }

    fn stand_in(&self, host: &str) -> Result<ServerConfig, TlsError> {
        let key = KeyPair::generate()?;
        let mut params = CertificateParams::new([host.to_owned()])?;
        (params.not_before, params.not_after) = span(STANDIN_TIME);
        params.serial_number = Some(serial()?);
        params.distinguished_name = named("Bailiwick in a target's name");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let certificate = params.signed_by(&key, &self.issuer)?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let key = provider().key_provider.load_private_key(key)?;
        let only = Only {
            host: host.to_owned(),
            key: Arc::new(CertifiedKey::new(vec![certificate.der().clone()], key)),
        };
        let mut config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(only));
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }
}

/// What the authority's certificate says.
fn authority(name: &str, hosts: &BTreeSet<String>) -> Result<CertificateParams, TlsError> {
    let (mut names, mut addresses) = (Vec::new(), Vec::new());
    for host in hosts {
        match host.parse::<IpAddr>() {
            Ok(address) => {
                let bits = if address.is_ipv4() { 32 } else { 128 };
                let address = CidrSubnet::from_addr_prefix(address, bits);
                addresses.push(GeneralSubtree::IpAddress(address));
            }
            Err(_) => names.push(GeneralSubtree::DnsName(host.clone())),
        }
    }
    // A kind of name that nothing is said of is not constrained.
    let mut nothing = Vec::new();
    if names.is_empty() {
        nothing.push(GeneralSubtree::DnsName(String::new()));
    }
    if addresses.is_empty() {
        for all in [
            IpAddr::V4(Ipv4Addr::UNSPECIFIED),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        ] {
            nothing.push(GeneralSubtree::IpAddress(CidrSubnet::from_addr_prefix(
                all, 0,
            )));
        }
    }
    names.append(&mut addresses);
    let mut params = CertificateParams::default();
    (params.not_before, params.not_after) = span(AUTHORITY_TIME);
    params.serial_number = Some(serial()?);
    params.distinguished_name = named(&format!("Bailiwick gateway {name}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: names,
        excluded_subtrees: nothing,
    });
    Ok(params)
}

fn named(name: &str) -> DistinguishedName {
    let mut named = DistinguishedName::new();
    // RFC 5280, appendix A.1: 64 characters at most.
    let name: String = name.chars().take(64).collect();
    named.push(DnType::CommonName, name);
    named
}

/// From now on, seen from an agent whose clock is behind.
fn span(time: std::time::Duration) -> (OffsetDateTime, OffsetDateTime) {
    let now = OffsetDateTime::now_utc();
    (now - CLOCK_SKEW, now + time)
}

/// A serial number of its own, since the same issuer may not give one twice (RFC 5280, section 4.1.2.2).
fn serial() -> Result<SerialNumber, TlsError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)
        .map_err(|error| TlsError::Unusable(rustls::Error::General(error.to_string())))?;
    let mut positive = vec![0x40];
    positive.extend_from_slice(&random);
    Ok(SerialNumber::from(positive))
}

/// A host as it stands in a certificate: in lower case, an address without brackets.
fn bare(host: &str) -> String {
    host.trim_start_matches('[')
        .trim_end_matches(']')
        .to_ascii_lowercase()
}

/// Shows a certificate to who wants its host, or says none.
#[derive(Debug)]
struct Only {
    host: String,
    key: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Only {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let fits = hello
            .server_name()
            .is_none_or(|name| name.eq_ignore_ascii_case(&self.host));
        fits.then(|| Arc::clone(&self.key))
    }
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::pem::PemObject;
    use rustls::pki_types::{CertificateDer, ServerName};
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio_rustls::{TlsAcceptor, TlsConnector};

    use super::*;

    fn open(folder: &Path, hosts: &[&str]) -> Authority {
        Authority::open(folder, "acme.example/bailiwick", hosts.iter().copied()).unwrap()
    }

    fn trusting(authority: &Authority) -> TlsConnector {
        let pem = authority.certificate().as_bytes();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_slice(pem).unwrap())
            .unwrap();
        let config = ClientConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        TlsConnector::from(Arc::new(config))
    }

    /// What comes of TLS with a stand-in for `host`, asked for as `name`.
    async fn shake(
        trusting: &TlsConnector,
        config: Arc<ServerConfig>,
        name: &str,
    ) -> std::io::Result<()> {
        let (agent, gateway) = duplex(64 * 1024);
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let serve = async {
            let mut stream = TlsAcceptor::from(config).accept(gateway).await?;
            stream.write_all(b"hi").await?;
            stream.flush().await
        };
        let ask = async {
            let mut stream = trusting.connect(name, agent).await?;
            stream.read_exact(&mut [0; 2]).await.map(drop)
        };
        let (served, asked) = tokio::join!(serve, ask);
        served.and(asked)
    }

    #[tokio::test]
    async fn agents_that_trust_it_take_its_word_for_its_targets_alone() {
        let dir = tempfile::tempdir().unwrap();
        let here = open(dir.path(), &["CRM.example", "10.0.0.5", "[fd00::5]"]);
        let trust = trusting(&here);
        for host in ["crm.example", "10.0.0.5", "fd00::5"] {
            let config = here.in_the_name_of(host).unwrap();
            shake(&trust, config, host).await.unwrap();
        }
        let same = here.in_the_name_of("crm.EXAMPLE").unwrap();
        assert!(Arc::ptr_eq(
            &same,
            &here.in_the_name_of("crm.example").unwrap()
        ));
        for other in ["pypi.example", "10.0.0.6", "m.example"] {
            assert!(here.in_the_name_of(other).is_err(), "{other}");
            // Even if it made one, it would not be believed.
            let forged = Arc::new(here.stand_in(other).unwrap());
            assert!(shake(&trust, forged, other).await.is_err(), "{other}");
        }
        // Neither is one without targets of the kind believed anything of that kind.
        for (hosts, other) in [
            (&["10.0.0.5"], "crm.example"),
            (&["crm.example"], "10.0.0.5"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let authority = open(folder.path(), hosts);
            let forged = Arc::new(authority.stand_in(other).unwrap());
            assert!(
                shake(&trusting(&authority), forged, other).await.is_err(),
                "{other}"
            );
        }
    }

    #[tokio::test]
    async fn an_agent_that_asks_for_another_host_in_its_hello_gets_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let here = open(dir.path(), &["crm.example", "hr.example"]);
        let config = here.in_the_name_of("crm.example").unwrap();
        let refused = shake(&trusting(&here), config, "hr.example").await;
        // The gateway refuses, before the agent could.
        let refused = refused.unwrap_err().to_string();
        assert!(refused.contains("no server certificate"), "{refused}");
    }

    #[tokio::test]
    async fn the_key_stays_so_what_was_handed_out_stays_good() {
        let dir = tempfile::tempdir().unwrap();
        let before = trusting(&open(dir.path(), &["crm.example"]));
        let after = open(dir.path(), &["crm.example", "hr.example"]);
        let shown = after.in_the_name_of("crm.example").unwrap();
        shake(&before, shown, "crm.example").await.unwrap();
        let shown = after.in_the_name_of("hr.example").unwrap();
        assert!(
            shake(&before, Arc::clone(&shown), "hr.example")
                .await
                .is_err()
        );
        shake(&trusting(&after), shown, "hr.example").await.unwrap();

        use std::os::unix::fs::PermissionsExt;
        let key = dir.path().join("ca.key");
        let mode = std::fs::metadata(&key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let written = std::fs::read_to_string(dir.path().join("ca.pem")).unwrap();
        assert_eq!(written, after.certificate());
        std::fs::write(&key, "half a").unwrap();
        let refused = Authority::open(dir.path(), "x", ["crm.example"])
            .err()
            .unwrap();
        assert!(refused.to_string().contains("ca.key"), "{refused}");
    }
}
