//! A proxy that copies bytes both ways and looks at nothing: what any proxy on this runtime costs at
//! least.

use tokio::io::copy_bidirectional;
use tokio::net::TcpStream;

use crate::itself;

/// Is the proxy, until the process is killed.
pub(crate) fn run(to: u16) -> ! {
    itself::serve(move |mut agent| {
        tokio::spawn(async move {
            let mut target = TcpStream::connect(("127.0.0.1", to)).await?;
            target.set_nodelay(true)?;
            copy_bidirectional(&mut agent, &mut target).await
        });
    })
}
