//! `bailiwick demo-crm`: the customer API of the demo, with a credential that no agent has. It writes down
//! every request that reaches it.

use std::convert::Infallible;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use clap::Args;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::commands::gateway;
use crate::failure::Failure;

/// The variable with its credential.
pub(super) const TOKEN: &str = "CRM_TOKEN";

/// The largest body, in bytes.
const BODY_MAX: usize = 64 * 1024;

/// Id, address, card, and what the customer pays for.
const CUSTOMERS: [(&str, &str, &str, &str); 5] = [
    (
        "anna-berg",
        "anna.berg@example.com",
        "5555 5555 5555 4444",
        "enterprise",
    ),
    (
        "ben-okafor",
        "ben.okafor@example.org",
        "4111 1111 1111 1111",
        "starter",
    ),
    (
        "chiara-neri",
        "chiara.neri@example.net",
        "3782 822463 10005",
        "team",
    ),
    (
        "d-mallory",
        "d.mallory@example.com",
        "6011 1111 1111 1117",
        "starter",
    ),
    (
        "ewa-lis",
        "ewa.lis@example.com",
        "5105 1051 0510 5100",
        "team",
    ),
];

/// The customer API of the demo
#[derive(Args)]
pub(crate) struct DemoCrm {
    /// Where to write down what arrives
    #[arg(long)]
    journal: PathBuf,
}

struct Crm {
    token: String,
    journal: Mutex<File>,
}

impl DemoCrm {
    pub(crate) fn execute(self) -> Result<ExitCode, Failure> {
        gateway::runtime()?.block_on(self.serve())
    }

    async fn serve(self) -> Result<ExitCode, Failure> {
        let token = std::env::var(TOKEN).map_err(|_| {
            Failure::new(format!("{TOKEN} is not set: `bailiwick demo` starts this"))
        })?;
        let crm = Arc::new(Crm {
            token,
            journal: Mutex::new(File::create(self.journal).map_err(Failure::new)?),
        });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await;
        let listener = listener.map_err(Failure::new)?;
        let address = listener.local_addr().map_err(Failure::new)?;
        println!("{address}");
        loop {
            let (stream, _) = listener.accept().await.map_err(Failure::new)?;
            let crm = Arc::clone(&crm);
            let service = service_fn(move |request| answer(Arc::clone(&crm), request));
            tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
        }
    }
}

async fn answer(
    crm: Arc<Crm>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, BODY_MAX).collect().await;
    let body = body.map(|body| body.to_bytes()).unwrap_or_default();
    let path = head.uri.path().to_owned();
    let line = format!(
        "{} {path} {}\n",
        head.method,
        String::from_utf8_lossy(&body)
    );
    let mut journal = crm.journal.lock().unwrap_or_else(PoisonError::into_inner);
    let written = journal.write_all(line.as_bytes());
    drop(journal);
    let shown = head.headers.get(AUTHORIZATION);
    let known = shown.is_some_and(|shown| shown == &format!("Bearer {}", crm.token));
    let (status, json) = if written.is_err() {
        (StatusCode::INTERNAL_SERVER_ERROR, json!({}))
    } else if known {
        look(&head.method, &path)
    } else {
        (
            StatusCode::UNAUTHORIZED,
            json!({ "error": "no valid credential" }),
        )
    };
    let mut response = Response::new(Full::from(json.to_string()));
    *response.status_mut() = status;
    let json = hyper::header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    Ok(response)
}

fn look(method: &Method, path: &str) -> (StatusCode, Value) {
    let customer = |(id, email, card, plan): &(&str, &str, &str, &str)| json!({ "id": id, "plan": plan, "email": email, "card": card });
    match (method, path.strip_prefix("/customers/")) {
        (&Method::GET, None) if path == "/customers" => {
            (StatusCode::OK, CUSTOMERS.iter().map(customer).collect())
        }
        (&Method::GET, Some(id)) => {
            let found = CUSTOMERS.iter().find(|(known, ..)| *known == id);
            match found {
                Some(found) => (StatusCode::OK, customer(found)),
                None => (
                    StatusCode::NOT_FOUND,
                    json!({ "error": "no such customer" }),
                ),
            }
        }
        (&Method::DELETE, Some(_)) => (StatusCode::OK, json!({ "deleted": true })),
        _ => (StatusCode::NOT_FOUND, json!({ "error": "no such thing" })),
    }
}
