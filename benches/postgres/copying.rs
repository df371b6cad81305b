//! A proxy that copies bytes both ways and looks at nothing: what any proxy on this runtime costs at
//! least.

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Is the proxy, until the process is killed.
pub(crate) fn run(to: u16) -> ! {
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
