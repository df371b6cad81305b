//! nginx, as a server that answers from memory and as a reverse proxy.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use bailiwick_tests::{command, eventually};
use tempfile::TempDir;

/// One nginx. Dropped, it stops.
pub(crate) struct Nginx {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Nginx {
    /// Answers every request with this JSON.
    pub(crate) fn server(answer: &str) -> Self {
        Self::start(
            "",
            &format!("default_type application/json; return 200 '{answer}';"),
        )
    }

    /// Passes every request on, on connections that are kept open.
    pub(crate) fn proxy(to: u16) -> Self {
        Self::start(
            &format!("upstream server {{ server 127.0.0.1:{to}; keepalive 64; }}"),
            "proxy_pass http://server; proxy_http_version 1.1; proxy_set_header Connection '';",
        )
    }

    fn start(upstream: &str, location: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = TcpListener::bind(("127.0.0.1", 0))
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let place = folder.path().display();
        // One process, as the server and the load need the other processor.
        let config = format!(
            "worker_processes 1; daemon off; pid {place}/pid; error_log {place}/error.log;\n\
             events {{ worker_connections 1024; }}\n\
             http {{ access_log off; keepalive_requests 1000000000; keepalive_timeout 600;\n\
             client_body_temp_path {place}/1; proxy_temp_path {place}/2; fastcgi_temp_path {place}/3;\n\
             uwsgi_temp_path {place}/4; scgi_temp_path {place}/5;\n\
             {upstream}\n\
             server {{ listen 127.0.0.1:{port}; location / {{ {location} }} }} }}\n"
        );
        let file = folder.path().join("nginx.conf");
        fs::write(&file, config).expect("its configuration");
        let child = command("nginx")
            .arg("-e")
            .arg(folder.path().join("error.log"))
            .arg("-p")
            .arg(folder.path())
            .arg("-c")
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("nginx; scripts/bench installs it");
        eventually("nginx listens", Duration::from_secs(10), || {
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        Self {
            child,
            port,
            _folder: folder,
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The process that serves goes with the one that was started only if that is asked to stop.
        bailiwick_tests::signal(self.child.id(), "TERM");
        let _ = self.child.wait();
    }
}
