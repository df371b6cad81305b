//! A browser without a screen: it keeps cookies, sends forms, and follows nothing by itself.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

/// What it was answered.
#[derive(Debug)]
pub struct Page {
    /// The HTTP status.
    pub status: u16,
    /// The headers, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: String,
}

impl Page {
    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut headers = self.headers.iter();
        headers
            .find(|(this, _)| this == name)
            .map(|(_, value)| value.as_str())
    }

    /// Where it leads.
    #[track_caller]
    pub fn location(&self) -> &str {
        self.header("location")
            .unwrap_or_else(|| panic!("it leads nowhere: {self:#?}"))
    }
}

/// Cookies by host and port: a test's servers are on one host, and real ones are not.
#[derive(Clone, Debug, Default)]
pub struct Browser {
    /// By `HOST:PORT` and name.
    pub cookies: BTreeMap<(String, String), String>,
}

impl Browser {
    /// Asks for a page, `http://HOST:PORT/…`.
    #[track_caller]
    pub fn get(&mut self, url: &str) -> Page {
        self.send("GET", url, &[], "")
    }

    /// Sends a form as a page of the same site does.
    #[track_caller]
    pub fn post(&mut self, url: &str, form: &str) -> Page {
        let (host, _) = split(url);
        let origin = format!("http://{host}");
        let kind = "application/x-www-form-urlencoded";
        self.send(
            "POST",
            url,
            &[("Origin", &origin), ("Content-Type", kind)],
            form,
        )
    }

    /// Sends a request with these headers.
    #[track_caller]
    pub fn send(&mut self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Page {
        let (host, path) = split(url);
        let mut request =
            format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n");
        for (name, value) in headers {
            request.push_str(&format!("{name}: {value}\r\n"));
        }
        let cookies: Vec<_> = self
            .cookies
            .iter()
            .filter(|((this, _), _)| this == host)
            .map(|((_, name), value)| format!("{name}={value}"))
            .collect();
        if !cookies.is_empty() {
            request.push_str(&format!("Cookie: {}\r\n", cookies.join("; ")));
        }
        request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
        let mut stream = TcpStream::connect(host).unwrap_or_else(|error| panic!("{url}: {error}"));
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a limit");
        stream.write_all(request.as_bytes()).expect("a request");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("an answer");
        let answer = String::from_utf8_lossy(&answer);
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer's head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1));
        let page = Page {
            status: status
                .and_then(|status| status.parse().ok())
                .expect("a status"),
            headers: lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect(),
            body: body.to_owned(),
        };
        for (_, cookie) in page.headers.iter().filter(|(name, _)| name == "set-cookie") {
            let (name, rest) = cookie.split_once('=').expect("a cookie");
            let value = rest.split(';').next().unwrap_or_default();
            let key = (host.to_owned(), name.to_owned());
            match value {
                "" => drop(self.cookies.remove(&key)),
                value => drop(self.cookies.insert(key, value.to_owned())),
            }
        }
        page
    }
}

fn split(url: &str) -> (&str, &str) {
    let rest = url.strip_prefix("http://").expect("a URL with http");
    let at = rest.find('/').unwrap_or(rest.len());
    let (host, path) = rest.split_at(at);
    (host, if path.is_empty() { "/" } else { path })
}

/// A port that nobody has at this moment.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.local_addr().expect("its address").port()
}
