//! A proxy that passes requests and answers on and looks at nothing, on the libraries that the gateway has its
//! HTTP from: what any proxy on these costs at least.

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::itself;

/// Is the proxy, until the process is killed.
pub(crate) fn run(to: u16) -> ! {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Client<_, Incoming> = Client::builder(TokioExecutor::new()).build(connector);
    itself::serve(move |agent| {
        let client = client.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let path = request.uri().path();
            *request.uri_mut() = format!("http://127.0.0.1:{to}{path}")
                .parse()
                .expect("an address");
            client.request(request)
        });
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(agent), service));
    })
}
