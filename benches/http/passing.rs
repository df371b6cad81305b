//! A proxy that passes requests and answers on and looks at nothing, on the libraries that the gateway has its
//! HTTP from: what any proxy on these costs at least.

use hyper::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;

/// Is the proxy, until the process is killed.
pub(crate) fn run(to: u16) -> ! {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            println!("{}", listener.local_addr().expect("an address").port());
            let mut connector = HttpConnector::new();
            connector.set_nodelay(true);
            let client: Client<_, Incoming> =
                Client::builder(TokioExecutor::new()).build(connector);
            loop {
                let (agent, _) = listener.accept().await.expect("a connection");
                agent.set_nodelay(true).expect("no delay");
                let client = client.clone();
                let service = service_fn(move |mut request: Request<Incoming>| {
                    let path = request.uri().path();
                    *request.uri_mut() = format!("http://127.0.0.1:{to}{path}")
                        .parse()
                        .expect("an address");
                    client.request(request)
                });
                let served = http1::Builder::new().serve_connection(TokioIo::new(agent), service);
                tokio::spawn(served);
            }
        })
}
