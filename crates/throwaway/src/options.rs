use std::path::PathBuf;

/// How the server authenticates everyone but its superuser, who always uses SCRAM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// `scram-sha-256`.
    #[default]
    Scram,
    /// `md5`; passwords set after the start are stored for it.
    Md5,
    /// `password`: the password itself crosses the wire.
    Cleartext,
    /// `trust`: nobody is asked.
    Trust,
}

impl Auth {
    /// The method's name in `pg_hba.conf`.
    pub(crate) fn method(self) -> &'static str {
        match self {
            Auth::Scram => "scram-sha-256",
            Auth::Md5 => "md5",
            Auth::Cleartext => "password",
            Auth::Trust => "trust",
        }
    }

    /// How the server stores passwords, so that the method can be used.
    pub(crate) fn password_encryption(self) -> &'static str {
        match self {
            Auth::Md5 => "md5",
            Auth::Scram | Auth::Cleartext | Auth::Trust => "scram-sha-256",
        }
    }
}

/// A certificate for the server, in PEM.
#[derive(Clone)]
pub struct Certificate {
    /// The certificate, and those between it and its authority.
    pub chain: String,
    /// Its private key.
    pub key: String,
}

impl std::fmt::Debug for Certificate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Certificate(..)")
    }
}

/// How to start the server.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// How it authenticates.
    pub auth: Auth,
    /// Serve TLS with this certificate; without one, not at all.
    pub certificate: Option<Certificate>,
    /// Refuse everyone but the superuser without TLS.
    pub tls_only: bool,
    /// Wait for the disk as a real server does. Without, it is faster and a crash of the machine
    /// loses everything, which nobody minds here.
    pub durable: bool,
    /// The folder of the server's programs, instead of those that are found.
    pub programs: Option<PathBuf>,
    /// Further settings for `postgresql.conf`: name and value.
    pub settings: Vec<(String, String)>,
}
