//! A gateway on another machine: over TLS alone, by a token.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use bailiwick_control::Place;
use bailiwick_control::client::{Dial, Stream};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;

use crate::failure::Failure;
use crate::http;

/// Where a token is that no file has.
pub(super) const VARIABLE: &str = "BAILIWICK_TOKEN";

/// The most of a token's file that is read, in bytes.
const FILE_BYTES_MAX: u64 = 4 * 1024;

/// The beginning of a run's credential.
const OF_A_RUN: &str = "bwk_";

/// The token to ask with.
pub(super) fn token(file: Option<&Path>) -> Result<String, Failure> {
    let token = match file {
        Some(file) => read(file).map_err(|error| {
            Failure::new(format!(
                "the token in `{}` cannot be read: {error}",
                file.display()
            ))
        })?,
        None => std::env::var(VARIABLE).unwrap_or_default(),
    };
    let token = token.trim();
    if token.is_empty() {
        return Err(Failure::new("there is no token to ask the gateway with").help(
            "BAILIWICK_TOKEN has it, or a file that --token-file or BAILIWICK_TOKEN_FILE names; whoever keeps the \
             gateway gives one under [[tokens]] in its configuration",
        ));
    }
    if token.starts_with(OF_A_RUN) {
        return Err(Failure::new("the token is the credential of a run, which opens no runs and asks nothing").help(
            "a run's process has it in BAILIWICK_TOKEN; name another token with --token-file, where this is not \
             such a process",
        ));
    }
    Ok(token.to_owned())
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?
        .take(FILE_BYTES_MAX)
        .read_to_string(&mut text)?;
    Ok(text)
}

/// Connects there, and sees to it that it is the gateway: by these authorities, or the system's.
pub(crate) fn dial(place: &Place, ca: Option<&Path>) -> Result<Dial, Failure> {
    let tls = match place.is_secure() {
        true => {
            let roots = ca.map(authorities).transpose()?;
            let name = ServerName::try_from(place.host().to_owned()).map_err(|_| {
                Failure::new(format!(
                    "`{place}` names a host that cannot have a certificate"
                ))
            })?;
            Some((http::connector(roots).map_err(Failure::new)?, name))
        }
        false => None,
    };
    let (host, port) = (place.host().to_owned(), place.port());
    Ok(Arc::new(move || {
        let (host, tls) = (host.clone(), tls.clone());
        Box::pin(async move {
            let stream = TcpStream::connect((host.as_str(), port)).await?;
            stream.set_nodelay(true)?;
            let stream: Box<dyn Stream> = match tls {
                Some((tls, name)) => Box::new(tls.connect(name, stream).await?),
                None => Box::new(stream),
            };
            Ok(stream)
        })
    }))
}

fn authorities(file: &Path) -> Result<RootCertStore, Failure> {
    let cannot = |why: String| {
        let file = file.display();
        Failure::new(format!("the authorities in `{file}` cannot be used: {why}"))
    };
    let mut roots = RootCertStore::empty();
    for certificate in
        CertificateDer::pem_file_iter(file).map_err(|error| cannot(error.to_string()))?
    {
        let certificate = certificate.map_err(|error| cannot(error.to_string()))?;
        roots
            .add(certificate)
            .map_err(|error| cannot(error.to_string()))?;
    }
    match roots.is_empty() {
        true => Err(cannot("there is no certificate in it".to_owned())),
        false => Ok(roots),
    }
}
