//! TLS on both sides: the gateway's own certificate towards agents, and towards targets the checks
//! that libpq's `sslmode` names.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_wire::{Endpoint, TlsMode};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, ServerConfig,
    SignatureScheme,
};
use sha2::{Digest, Sha256};

/// The first byte of a connection that starts with TLS (RFC 8446, section 5.1: the type of a record).
pub(crate) const HANDSHAKE: u8 = 22;

/// What is wrong with a certificate or a key.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or holds something else.
    #[error("`{path}`: {what}")]
    File {
        /// The file.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The certificate and the key do not fit, or are of a kind that TLS here has no use for.
    #[error("this certificate and key cannot be used for TLS: {0}")]
    Unusable(#[from] Error),
    /// No certificate could be made.
    #[error("no certificate could be generated: {0}")]
    Generate(#[from] rcgen::Error),
    /// The system has no certificates to trust.
    #[error(
        "the system's trusted certificates cannot be read; give `sslrootcert` in the target's URL"
    )]
    NoRoots,
}

/// The gateway's TLS towards agents.
#[derive(Clone)]
pub struct AgentTls {
    pub(crate) config: Arc<ServerConfig>,
    /// The certificate's SHA-256, in hexadecimal with colons, to compare by eye.
    pub fingerprint: String,
}

impl AgentTls {
    /// From a configured certificate chain and key, both PEM.
    ///
    /// # Errors
    /// If a file cannot be read, is not PEM, or the two do not fit.
    pub fn load(certificate: &Path, key: &Path) -> Result<Self, TlsError> {
        let (chain, key) = identity(certificate, key)?;
        Self::new(chain, key)
    }

    /// From a certificate of the gateway's own making, kept as `tls.crt` and `tls.key` in the folder
    /// so that its fingerprint stays the same.
    ///
    /// # Errors
    /// If the folder cannot be read or written.
    pub fn generated(folder: &Path) -> Result<Self, TlsError> {
        let (certificate, key) = (folder.join("tls.crt"), folder.join("tls.key"));
        if !certificate.exists() || !key.exists() {
            let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
            let made = rcgen::generate_simple_self_signed(names)?;
            // The certificate is what counts, and comes last: a start that is killed leaves none
            // that does not fit the key.
            remove(&certificate).map_err(|error| in_file(&certificate, &error))?;
            write_private(&key, &made.signing_key.serialize_pem())
                .map_err(|error| in_file(&key, &error))?;
            write_private(&certificate, &made.cert.pem())
                .map_err(|error| in_file(&certificate, &error))?;
        }
        Self::load(&certificate, &key)
    }

    /// For agents that speak one of these protocols: one that names only others is refused.
    pub(crate) fn speaking(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let mut config = ServerConfig::clone(&self.config);
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Arc::new(config)
    }

    fn new(
        chain: Vec<CertificateDer<'static>>,
        key: PrivateKeyDer<'static>,
    ) -> Result<Self, TlsError> {
        let digest = chain.first().map(Sha256::digest).unwrap_or_default();
        let fingerprint: Vec<_> = digest.iter().map(|byte| format!("{byte:02X}")).collect();
        let config = ServerConfig::builder_with_provider(provider())
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Self {
            config: Arc::new(config),
            fingerprint: fingerprint.join(":"),
        })
    }
}

/// Written beside and moved into place, so that the file is never there in part.
pub(crate) fn write_private(path: &Path, text: &str) -> io::Result<()> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let beside = path.with_extension("new");
    remove(&beside)?;
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&beside)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}

/// Removes a file; that there is none is as good.
fn remove(path: &Path) -> io::Result<()> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn in_file(path: &Path, error: &dyn std::fmt::Display) -> TlsError {
    TlsError::File {
        path: path.display().to_string(),
        what: error.to_string(),
    }
}

pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

/// The gateway's TLS towards a target, checking as its mode says.
///
/// # Errors
/// If the certificates to trust cannot be read.
pub(crate) fn towards(endpoint: &Endpoint) -> Result<Arc<ClientConfig>, TlsError> {
    towards_showing(endpoint, None)
}

/// The same, with a certificate of the gateway's own to show, and its key: PEM files.
///
/// # Errors
/// If one of the files cannot be read, or the certificate and the key do not fit.
pub(crate) fn towards_showing(
    endpoint: &Endpoint,
    certificate: Option<&(PathBuf, PathBuf)>,
) -> Result<Arc<ClientConfig>, TlsError> {
    let builder =
        ClientConfig::builder_with_provider(provider()).with_safe_default_protocol_versions()?;
    // As in libpq, a root certificate that is given is checked against in mode `require` too.
    let check = match (endpoint.tls, &endpoint.roots) {
        (TlsMode::VerifyFull, _) => Check::Full(verifier(endpoint)?),
        (TlsMode::VerifyCa, _) | (TlsMode::Require, Some(_)) => {
            Check::Authority(verifier(endpoint)?)
        }
        (TlsMode::Disable | TlsMode::Allow | TlsMode::Prefer | TlsMode::Require, _) => {
            Check::Nothing
        }
    };
    let builder = builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(DangerousUnlessFull(check)));
    Ok(Arc::new(match certificate {
        None => builder.with_no_client_auth(),
        Some((certificate, key)) => {
            let (chain, key) = identity(certificate, key)?;
            builder.with_client_auth_cert(chain, key)?
        }
    }))
}

/// A certificate chain and its key, both PEM.
fn identity(
    certificate: &Path,
    key: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| in_file(certificate, &error))?;
    let key = PrivateKeyDer::from_pem_file(key).map_err(|error| in_file(key, &error))?;
    Ok((chain, key))
}

fn verifier(endpoint: &Endpoint) -> Result<Arc<WebPkiServerVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    match endpoint.roots.as_deref() {
        None | Some("system") => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            if roots.is_empty() {
                return Err(TlsError::NoRoots);
            }
        }
        Some(path) => {
            let path = Path::new(path);
            let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
                .and_then(Iterator::collect)
                .map_err(|error| in_file(path, &error))?;
            for certificate in certificates {
                roots
                    .add(certificate)
                    .map_err(|error| in_file(path, &error))?;
            }
        }
    }
    WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider())
        .build()
        .map_err(|error| TlsError::Unusable(Error::General(error.to_string())))
}

/// How much of a target's certificate is checked.
#[derive(Debug)]
enum Check {
    /// Nothing: it only has to hold the key. Protects from listeners, not from impostors.
    Nothing,
    /// That it is from a trusted authority, whatever its name.
    Authority(Arc<WebPkiServerVerifier>),
    /// That, and that it is for this host.
    Full(Arc<WebPkiServerVerifier>),
}

/// Checks as little as the target's `sslmode` asks for.
#[derive(Debug)]
struct DangerousUnlessFull(Check);

impl ServerCertVerifier for DangerousUnlessFull {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verify = |verifier: &WebPkiServerVerifier| {
            verifier.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
        };
        match &self.0 {
            Check::Nothing => Ok(ServerCertVerified::assertion()),
            Check::Full(verifier) => verify(verifier),
            // The name is checked last: a certificate that fails at its name is from the authority.
            Check::Authority(verifier) => match verify(verifier) {
                Err(Error::InvalidCertificate(
                    CertificateError::NotValidForName
                    | CertificateError::NotValidForNameContext { .. },
                )) => Ok(ServerCertVerified::assertion()),
                verdict => verdict,
            },
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, &algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = ring::default_provider().signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, &algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ring::default_provider()
            .signature_verification_algorithms
            .supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_own_certificate_stays_the_same_and_is_made_whatever_a_killed_start_left() {
        let dir = tempfile::tempdir().unwrap();
        let (certificate, key) = (dir.path().join("tls.crt"), dir.path().join("tls.key"));
        let fingerprint = || AgentTls::generated(dir.path()).unwrap().fingerprint;
        let first = fingerprint();
        assert_eq!(fingerprint(), first);
        for gone in [&certificate, &key] {
            std::fs::remove_file(gone).unwrap();
            std::fs::write(dir.path().join("tls.new"), "half a").unwrap();
            let made = fingerprint();
            assert_eq!(fingerprint(), made);
        }
        assert_ne!(fingerprint(), first);
    }
}
