//! A proxy that copies bytes both ways and looks at nothing: what any proxy on this runtime costs at
//! least. A process of its own, as the others are.

use std::process::{Child, Command, Stdio};

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Says to this program that it is to be the proxy, and for which port.
const VARIABLE: &str = "BAILIWICK_BENCH_COPY_TO";

/// Whether this process is to be the proxy.
pub(crate) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some()
}

/// Starts it in front of this port; says where it listens.
pub(crate) fn start(to: u16) -> (Child, u16) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(VARIABLE, to.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the copying proxy");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    std::io::BufRead::read_line(&mut std::io::BufReader::new(output), &mut line)
        .expect("its first line");
    let port = line.trim().parse().expect("its port");
    (child, port)
}

/// Is the proxy, until it is killed.
pub(crate) fn run() -> ! {
    let to: u16 = (std::env::var(VARIABLE).ok())
        .and_then(|port| port.parse().ok())
        .expect("a port");
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            println!("{}", listener.local_addr().expect("an address").port());
            loop {
                let (mut agent, _) = listener.accept().await.expect("a connection");
                tokio::spawn(async move {
                    let mut target = TcpStream::connect(("127.0.0.1", to)).await?;
                    agent.set_nodelay(true)?;
                    target.set_nodelay(true)?;
                    copy_bidirectional(&mut agent, &mut target).await
                });
            }
        })
}
