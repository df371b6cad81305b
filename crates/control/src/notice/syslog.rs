//! Messages of RFC 5424, and their way to a server.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::unix::net::UnixDatagram;

use super::{Notice, NoticeKind, Syslog};
use crate::limits::{
    NOTICE_TIME_MAX, SYSLOG_BYTES_MAX, SYSLOG_CLOSE_TIME_MAX, SYSLOG_VALUE_BYTES_MAX,
};

/// "log audit" (RFC 5424, section 6.2.1).
const FACILITY: u8 = 13;

/// The number that RFC 5612 keeps for documents: this project has none of its own.
const ENTERPRISE: u32 = 32473;

/// The message, at most 2,048 bytes.
pub(super) fn message(notice: &Notice, link: Option<&str>, host: &str, process: u32) -> String {
    let severity = match notice.kind {
        NoticeKind::SignalRaised => 4,
        NoticeKind::CallHeld => 5,
    };
    let priority = FACILITY * 8 + severity;
    let kind = notice.kind.as_str();
    let mut message = format!(
        "<{priority}>1 {} {} bailiwick {process} {kind} [bailiwick@{ENTERPRISE}",
        notice.time,
        header(host)
    );
    let mut put = |name: &str, value: &str| {
        let value = value_of(value);
        // What does not fit is in the record. The end of the element and the text fit in any case.
        if message.len() + name.len() + value.len() + 4 + TEXT_BYTES <= SYSLOG_BYTES_MAX {
            message.push_str(&format!(" {name}=\"{value}\""));
        }
    };
    put("id", &notice.id);
    for (name, value) in notice.facts() {
        put(name, &value);
    }
    if let Some(link) = link {
        put("url", link);
    }
    let title: String = notice.title.chars().map(printable).collect();
    let end = title.floor_char_boundary(TEXT_BYTES - 8);
    let title = title.get(..end).unwrap_or_default();
    // What is not ASCII begins with a byte order mark (section 6.4).
    let mark = if title.is_ascii() { "" } else { "\u{feff}" };
    message.push_str(&format!("] {mark}{title}"));
    message
}

/// Room for the text.
const TEXT_BYTES: usize = 256;

/// A value of structured data, with what has to be escaped (section 6.3.3).
fn value_of(text: &str) -> String {
    let end = text.floor_char_boundary(SYSLOG_VALUE_BYTES_MAX);
    let mut value = String::new();
    for c in text.get(..end).unwrap_or_default().chars().map(printable) {
        if matches!(c, '"' | '\\' | ']') {
            value.push('\\');
        }
        value.push(c);
    }
    if end < text.len() {
        value.push('…');
    }
    value
}

fn printable(c: char) -> char {
    if c.is_control() { ' ' } else { c }
}

/// A field of the header: printable ASCII, at most 255 characters.
fn header(text: &str) -> String {
    let text: String = (text.chars())
        .filter(char::is_ascii_graphic)
        .take(255)
        .collect();
    if text.is_empty() { "-".into() } else { text }
}

impl Syslog {
    /// Sends one message. Waits for the network.
    pub(super) fn send(&self, message: &str) -> io::Result<()> {
        match self {
            Self::Udp { host, port } => {
                let address = resolve(host, *port)?;
                let any = if address.is_ipv4() {
                    "0.0.0.0:0"
                } else {
                    "[::]:0"
                };
                let socket = UdpSocket::bind(any)?;
                socket.connect(address)?;
                socket.send(message.as_bytes())?;
            }
            Self::Tcp { host, port } => {
                let address = resolve(host, *port)?;
                let mut stream = TcpStream::connect_timeout(&address, NOTICE_TIME_MAX)?;
                stream.set_write_timeout(Some(NOTICE_TIME_MAX))?;
                stream.set_read_timeout(Some(SYSLOG_CLOSE_TIME_MAX))?;
                stream.write_all(format!("{} {message}", message.len()).as_bytes())?;
                // Syslog has no receipts. A server that closes in its turn has had all of it; one that is gone
                // resets the connection.
                stream.shutdown(Shutdown::Write)?;
                match stream.read(&mut [0; 64]) {
                    Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                        return Err(error);
                    }
                    _ => {}
                }
            }
            Self::Unix(path) => {
                let socket = UnixDatagram::unbound()?;
                socket.set_write_timeout(Some(NOTICE_TIME_MAX))?;
                socket.connect(path)?;
                socket.send(message.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn resolve(host: &str, port: u16) -> io::Result<std::net::SocketAddr> {
    let mut addresses = (host, port).to_socket_addrs()?;
    addresses
        .next()
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("`{host}` has no address")))
}
