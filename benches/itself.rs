//! A benchmark that starts itself once more, to be a server in a process of its own, as those are that it is
//! measured beside.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use tokio::net::{TcpListener, TcpStream};

/// Says to this program that it is to be a proxy, and for which port.
const VARIABLE: &str = "BAILIWICK_BENCH_PROXY_TO";

/// The port that this process is to be a proxy for, if it is to be one.
pub(crate) fn proxied() -> Option<u16> {
    let port = std::env::var(VARIABLE).ok()?;
    Some(port.parse().expect("a port"))
}

/// Stops the process when dropped.
pub(crate) struct Killed(pub(crate) Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Is a proxy, until the process is killed: says where it listens, and hands over each connection.
pub(crate) fn serve(mut served: impl FnMut(TcpStream)) -> ! {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime")
        .block_on(async {
            let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
            println!("{}", listener.local_addr().expect("an address").port());
            loop {
                let (agent, _) = listener.accept().await.expect("a connection");
                agent.set_nodelay(true).expect("no delay");
                served(agent);
            }
        })
}

/// Starts a proxy for this port; says on which it listens.
pub(crate) fn start(to: u16) -> (Killed, u16) {
    let mut child = Command::new(std::env::current_exe().expect("this program"))
        .env(VARIABLE, to.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .expect("a proxy");
    let mut line = String::new();
    let output = child.stdout.take().expect("its output");
    BufReader::new(output)
        .read_line(&mut line)
        .expect("its first line");
    let port = line.trim().parse().expect("its port");
    (Killed(child), port)
}
