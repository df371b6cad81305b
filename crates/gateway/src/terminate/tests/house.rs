//! A gateway with one run, and a target that answers what a test says.

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bailiwick_audit::{Config, Draft, Event, Log, Subject};
use bailiwick_policy::{Engine, TargetName};
use bailiwick_run::{
    BearerDigest, Confinement, Cut, Run, RunId, Secret, Tally, Time, TimeBox, Verifier,
};
use bailiwick_wire::{Endpoint, PROTOCOLS, Protocol};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, request};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::desk::Desk;
use crate::directory::{Admission, Directory, Suspended};
use crate::target::{Credentials, ReadMode, Target};
use crate::tls::AgentTls;
use crate::upstream::Upstream;
use crate::{Gateway, Phase, serve};

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[read]]
target   = "crm"
requests = ["GET /open/**", "HEAD /open/**"]
[[write]]
target   = "crm"
requests = ["POST /open/**"]
[[read]]
target   = "gone"
requests = ["GET /**"]
"#;

/// The protocol that serves the listener.
fn http() -> &'static Protocol {
    PROTOCOLS
        .into_iter()
        .find(|protocol| protocol.name == "http")
        .unwrap()
}

pub(super) struct House {
    pub(super) port: u16,
    pub(super) secret: Secret,
    pub(super) run: Run,
    pub(super) log: Log,
    pub(super) tally: Arc<Tally>,
    pub(super) ended: watch::Sender<Option<Cut>>,
    pub(super) stop: watch::Sender<Phase>,
    pub(super) served: JoinHandle<()>,
    dir: tempfile::TempDir,
}

struct One(Admission);

impl Directory for One {
    fn find(&self, run: &RunId) -> Option<Admission> {
        (self.0.run.id == *run).then(|| self.0.clone())
    }

    fn find_bearer(&self, secret: &BearerDigest) -> Option<Admission> {
        (self.0.verifier.bearer() == secret).then(|| self.0.clone())
    }

    fn suspended(&self, run: &RunId) -> Option<Suspended> {
        let is = *self.0.ended.borrow() == Some(Cut::Suspended);
        (is && self.0.run.id == *run).then(|| Suspended {
            run: self.0.run.clone(),
            verifier: Arc::clone(&self.0.verifier),
            tally: Arc::clone(&self.0.tally),
        })
    }

    fn suspended_bearer(&self, secret: &BearerDigest) -> Option<Suspended> {
        let run = self.find_bearer(secret)?.run.id;
        self.suspended(&run)
    }
}

/// A target whose endpoint is nowhere yet.
pub(super) fn target(name: &str, upstream: Upstream) -> Target {
    Target {
        name: name.into(),
        protocol: http(),
        endpoint: (http().endpoint)("http://127.0.0.1:1").unwrap(),
        reads: ReadMode::Durable,
        keep_results: 0,
        credentials: Credentials::Shared,
        upstream,
    }
}

impl House {
    /// In front of a target at this port.
    pub(super) async fn new(port: u16) -> Self {
        Self::with("http", port, Upstream::default()).await
    }

    pub(super) async fn with(scheme: &str, port: u16, upstream: Upstream) -> Self {
        Self::trusting(scheme, port, upstream, None).await
    }

    /// With these certificates to trust at the target.
    pub(super) async fn trusting(
        scheme: &str,
        port: u16,
        upstream: Upstream,
        roots: Option<&Path>,
    ) -> Self {
        let target = |name: &str, port| Target {
            endpoint: Endpoint {
                roots: roots.map(|roots| roots.display().to_string()),
                ..(http().endpoint)(&format!("{scheme}://127.0.0.1:{port}")).unwrap()
            },
            ..target(name, upstream.clone())
        };
        // Nothing listens on port 1.
        Self::of(TASK, vec![target("crm", port), target("gone", 1)]).await
    }

    /// With a run of this task, and these targets, to which it is a proxy as well.
    pub(super) async fn of(task: &str, targets: Vec<Target>) -> Self {
        Self::asking(task, targets, None).await
    }

    /// The same, with somebody who puts held calls before people.
    pub(super) async fn asking(
        task: &str,
        targets: Vec<Target>,
        desk: Option<Arc<dyn Desk>>,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        for folder in ["data", "tasks", "policies"] {
            std::fs::create_dir(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join("tasks/t.toml"), task).unwrap();
        let named = |target: &Target| TargetName::new(&target.name, target.protocol.name, &[]);
        let names: Vec<_> = targets.iter().map(named).collect();
        let path = |folder: &str| dir.path().join(folder);
        let engine = match Engine::load(&path("tasks"), &path("policies"), &names) {
            Ok(engine) => engine,
            Err(errors) => panic!("{errors}"),
        };
        let opened = Time::from_millis(1_700_000_000_000);
        let run = Run {
            id: RunId::new(opened, [7; 10]),
            launcher: "human:alice@acme.com".parse().unwrap(),
            task: "t".into(),
            time_box: TimeBox {
                opened,
                expires: opened.after(Duration::from_secs(600)),
            },
            confinement: Confinement::Elsewhere,
            reason: None,
        };
        let secret = Secret::new([9; 32]);
        let (ended, watched) = watch::channel(None);
        let tally = Arc::new(Tally::default());
        let admission = Admission {
            run: run.clone(),
            verifier: Arc::new(Verifier::new(run.id, &secret, [1; 16])),
            scope: watch::channel(Arc::new(engine.scope(&run).unwrap())).1,
            ended: watched,
            tally: Arc::clone(&tally),
        };
        let (log, _) = Log::open(Config::new(path("data"), "test.example/log")).unwrap();
        let opened = Draft {
            event: Event::RunOpened {
                confinement: run.confinement,
                expires: run.time_box.expires,
                scope_digest: admission.scope().digest().to_owned(),
            },
            subject: Subject::Run(run.clone()),
            payload: None,
        };
        log.append(opened).await.unwrap();
        let gateway = Gateway::new(
            "test.example/log".into(),
            Arc::new(One(admission)),
            log.clone(),
            targets,
            AgentTls::generated(dir.path()).unwrap(),
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (stop, stopped) = watch::channel(Phase::Serving);
        let mut gateway = gateway.unwrap().proxying(dir.path()).unwrap();
        if let Some(desk) = desk {
            gateway = gateway.asking(desk);
        }
        let gateway = Arc::new(gateway);
        let served = tokio::spawn(serve(gateway, http(), listener, stopped));
        Self {
            port,
            secret,
            run,
            log,
            tally,
            ended,
            stop,
            served,
            dir,
        }
    }

    /// The certificate of the gateway's authority.
    pub(super) fn authority(&self) -> Vec<u8> {
        std::fs::read(self.dir.path().join("ca.pem")).unwrap()
    }

    /// The gateway's own certificate.
    pub(super) fn certificate(&self) -> PathBuf {
        self.dir.path().join("tls.crt")
    }

    pub(super) async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Sends bytes on a connection of their own, and says what came back until it was closed.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut answer)).await;
        // A connection that is reset has said what it had to say, as well.
        let _ = read.expect("the connection stays open");
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// The head of a request with the run's secret; without the empty line.
    pub(super) fn head(&self, line: &str) -> String {
        let secret = self.secret.reveal();
        let kind = match line.starts_with("POST") {
            true => "content-type: text/plain\r\n",
            false => "",
        };
        format!("{line} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {secret}\r\n{kind}")
    }

    /// Sends one request, and says what came back.
    pub(super) async fn ask(&self, line: &str) -> String {
        let request = format!("{}connection: close\r\n\r\n", self.head(line));
        self.raw(request.as_bytes()).await
    }

    /// The records of the run, as JSON.
    pub(super) fn records(&self) -> Vec<serde_json::Value> {
        let entries = self.log.reader().run(&self.run.id).unwrap();
        let json = |entry: &bailiwick_audit::Entry| serde_json::from_slice(&entry.bytes).unwrap();
        entries.iter().map(json).collect()
    }

    /// The same as text, once this many are there.
    pub(super) async fn recorded(&self, count: usize) -> String {
        for _ in 0..200 {
            let records = self.records();
            if records.len() >= count {
                return serde_json::to_string_pretty(&records).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.records());
    }
}

/// Reads from an agent's connection until it has said this, or ends; all it said.
pub(super) async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut said = Vec::new();
    let reading = async {
        while !String::from_utf8_lossy(&said).contains(text) {
            match stream.read_buf(&mut said).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
        }
    };
    let read = timeout(Duration::from_secs(5), reading).await;
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(read.is_ok(), "it never said {text:?}, but {said:?}");
    said
}

/// Reads the rest of a connection; says it, and whether that was its end and not a stop.
pub(super) async fn rest(stream: &mut TcpStream) -> (String, bool) {
    let mut said = Vec::new();
    let read = timeout(Duration::from_secs(5), stream.read_to_end(&mut said)).await;
    let clean = read.expect("the connection stays open").is_ok();
    (String::from_utf8_lossy(&said).into_owned(), clean)
}

/// The content of an answer that is there whole, as its own framing has it (RFC 9112, section 6.3). That is
/// its length if all of it had come before it could be shown, and chunks otherwise: how soon a record is on
/// the disk decides. Without trailer fields.
pub(super) fn whole(answer: &str) -> Option<String> {
    let (head, content) = answer.split_once("\r\n\r\n")?;
    let mut fields = head.lines();
    if let Some(length) = fields.find_map(|field| field.strip_prefix("content-length: ")) {
        return (length.parse() == Ok(content.len())).then(|| content.to_owned());
    }
    let (mut joined, mut rest) = (String::new(), content);
    loop {
        let (size, chunks) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size, 16).ok()?;
        let (chunk, after) = chunks.split_at_checked(size)?;
        joined.push_str(chunk);
        rest = after.strip_prefix("\r\n")?;
        if size == 0 {
            return rest.is_empty().then_some(joined);
        }
    }
}

pub(super) type Said = UnsyncBoxBody<Bytes, Infallible>;

pub(super) fn said(text: &str) -> Said {
    Full::new(Bytes::from(text.to_owned())).boxed_unsync()
}

/// A target, and what it was sent.
pub(super) struct There {
    pub(super) port: u16,
    pub(super) got: Arc<Mutex<Vec<(request::Parts, Bytes)>>>,
}

impl There {
    /// That answers like this.
    pub(super) async fn new<F>(answer: F) -> Self
    where
        F: Fn(&request::Parts) -> Response<Said> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let got = Arc::new(Mutex::new(Vec::new()));
        let (answer, all) = (Arc::new(answer), Arc::clone(&got));
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, all) = (Arc::clone(&answer), Arc::clone(&all));
                    async move {
                        let (parts, content) = request.into_parts();
                        let content = content.collect().await.unwrap().to_bytes();
                        let mut response = answer(&parts);
                        let kind = HeaderValue::from_static("text/plain");
                        let fields = response.headers_mut();
                        fields.entry("content-type").or_insert(kind);
                        all.lock().unwrap().push((parts, content));
                        Ok::<_, Infallible>(response)
                    }
                });
                tokio::spawn(async move {
                    let builder = auto::Builder::new(TokioExecutor::new());
                    let _ = builder
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Self { port, got }
    }

    /// How many requests it was sent.
    pub(super) fn count(&self) -> usize {
        self.got.lock().unwrap().len()
    }
}
