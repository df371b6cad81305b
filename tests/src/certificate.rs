//! Certificates for servers, from an authority of their own.

use bailiwick_throwaway::Certificate;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

/// A server's certificate, and who vouches for it.
pub struct Certified {
    /// For the server.
    pub server: Certificate,
    /// The authority's own certificate, PEM.
    pub authority: String,
}

/// A certificate for a host, from an authority that nobody has seen before.
pub fn certificate(host: &str) -> Certified {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority
        .distinguished_name
        .push(DnType::CommonName, "a test's authority");
    let authority_key = KeyPair::generate().expect("a key");
    let authority_certificate = authority
        .self_signed(&authority_key)
        .expect("a certificate");
    let issuer = Issuer::new(authority, authority_key);
    let key = KeyPair::generate().expect("a key");
    let server = CertificateParams::new([host.to_owned()]).expect("a host");
    let server = server.signed_by(&key, &issuer).expect("a certificate");
    Certified {
        server: Certificate {
            chain: server.pem(),
            key: key.serialize_pem(),
        },
        authority: authority_certificate.pem(),
    }
}
