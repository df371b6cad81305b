use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bailiwick_run::{Confinement, Ending};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{BindError, Monitoring, Server, ServerSettings};
use crate::api::{Change, OpenRequest, Problem, RunState, Search, Which};
use crate::client::{Client, ClientError};
use crate::people::PeopleSettings;
use crate::testing::{House, Running, mode, soon};
use crate::token::Token;
use crate::{peer, socket};

mod approvals;
mod people;
mod roles;

struct Served {
    house: House,
    running: Running,
    network: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Served {
    async fn new() -> Self {
        Self::with(PeopleSettings::default()).await
    }

    /// For these people.
    async fn with(people: PeopleSettings) -> Self {
        let house = House::new();
        let running = house.start().await;
        let settings = ServerSettings {
            people,
            ..settings(&house)
        };
        let server = Server::bind(running.registry.clone(), settings, Monitoring::default())
            .await
            .unwrap();
        let network = server.network().unwrap();
        let (stop, stopped) = watch::channel(false);
        Self {
            house,
            running,
            network,
            stop,
            task: tokio::spawn(server.run(stopped)),
        }
    }

    async fn client(&self) -> Client {
        Client::connect(&self.house.data()).await.unwrap()
    }

    fn token(&self) -> Token {
        Token::read(&self.house.data()).unwrap()
    }

    /// Sends a request as it is over TCP; returns status and body.
    async fn raw(&self, request: &str) -> (u16, String) {
        answer(TcpStream::connect(self.network).await.unwrap(), request).await
    }
}

fn settings(house: &House) -> ServerSettings {
    ServerSettings {
        data: house.data(),
        shared: None,
        network: Some(([127, 0, 0, 1], 0).into()),
        public_log: false,
        version: "0.0.0-test".into(),
        people: PeopleSettings::default(),
    }
}

async fn answer(
    mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin,
    request: &str,
) -> (u16, String) {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    while stream.read_buf(&mut answer).await.unwrap() > 0 {
        // One of events goes on for as long as somebody listens.
        let said = String::from_utf8_lossy(&answer);
        if said.contains("text/event-stream") && said.contains("\r\n\r\n") {
            break;
        }
    }
    let answer = String::from_utf8_lossy(&answer);
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, format!("{head}\n\n{body}"))
}

fn request(attach: bool) -> OpenRequest {
    OpenRequest {
        task: "triage".into(),
        ttl: Some(Duration::from_secs(60)),
        reason: Some("a reason".into()),
        confinement: Confinement::Landlock,
        attach,
    }
}

#[tokio::test]
async fn a_run_from_open_to_trail_over_the_socket() {
    let served = Served::new().await;
    let client = served.client().await;
    let opened = client.open(&request(false)).await.unwrap();
    let me = peer::launcher(nix::unistd::getuid().as_raw()).unwrap();
    assert_eq!(opened.launcher, me);
    assert_eq!(opened.confine.mode, Confinement::Landlock);
    assert!(opened.env["DATABASE_URL"].contains("bwk_"));
    assert_eq!(opened.protect.read_only.len(), 2);

    let detail = client.run(&opened.run).await.unwrap();
    assert_eq!(detail.reason.as_deref(), Some("a reason"));
    assert_eq!(detail.summary.state, RunState::Open);
    assert_eq!(
        client.runs(Which::Open, 10).await.unwrap().runs,
        [detail.summary]
    );
    let summary = client.revoke(&opened.run).await.unwrap();
    assert_eq!(summary.ending, Some(Ending::Revoked));
    assert_eq!(client.close(&opened.run).await.unwrap(), summary);
    assert!(client.runs(Which::Open, 10).await.unwrap().runs.is_empty());
    // Its reason is still known, from the record.
    let detail = client.run(&opened.run).await.unwrap();
    assert_eq!(detail.reason.as_deref(), Some("a reason"));

    let trail = client.trail(&opened.run, 0).await.unwrap();
    assert_eq!(trail.records.len(), 2);
    assert!(!trail.more);
    let closed = &trail.records[1];
    let record: serde_json::Value = serde_json::from_str(closed.record.get()).unwrap();
    assert_eq!(record["by"], me.as_str());
    assert_eq!(client.trail(&opened.run, 1).await.unwrap().records.len(), 1);
    let again = client.record(&opened.run.to_string(), 2).await.unwrap();
    assert_eq!(
        (&again.digest, again.record.get()),
        (&closed.digest, closed.record.get())
    );
    client.gateway_trail(0).await.unwrap();
    assert_eq!(
        client.health().await.unwrap().vkey,
        served.running.log.vkey()
    );
}

#[tokio::test]
async fn tasks_are_told_in_words() {
    let served = Served::new().await;
    let client = served.client().await;
    let names: Vec<_> = client
        .tasks()
        .await
        .unwrap()
        .tasks
        .into_iter()
        .map(|t| t.name)
        .collect();
    assert_eq!(names, ["sweep", "triage"]);
    let task = client.task("triage").await.unwrap();
    assert!(task.task.gateway_only);
    assert!(
        task.words
            .iter()
            .any(|words| words.text == "may read public.tickets on tickets")
    );
    assert_eq!(task.references[0].name.as_deref(), Some("tickets"));
    let error = client.task("../tri age").await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(problem) if problem.status == 404),
        "{error}"
    );
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let served = Served::new().await;
    let client = served.client().await;
    let mut wrong = request(false);
    wrong.task = "triaeg".into();
    let error = client.open(&wrong).await.unwrap_err().to_string();
    assert_eq!(error, "no task is called `triaeg`; did you mean `triage`?");
    let never = bailiwick_run::RunId::new(bailiwick_run::Time::from_millis(1), [0; 10]);
    for error in [
        client.run(&never).await.unwrap_err(),
        client.trail(&never, 0).await.unwrap_err(),
        client.close(&never).await.unwrap_err(),
    ] {
        assert!(
            error.to_string().contains("`bailiwick runs` lists them"),
            "{error}"
        );
    }

    let token = served.token().header();
    let post = |body: &str| {
        format!(
            "POST /v1/runs HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let path = socket::path(&served.house.data());
    let long = format!("{{\"task\":\"{}\"}}", "x".repeat(70_000));
    for (body, expected) in [
        ("{", 400),
        (r#"{"task":"triage","confinement":"rope"}"#, 422),
        (long.as_str(), 413),
    ] {
        let stream = UnixStream::connect(&path).await.unwrap();
        let (status, text) = answer(stream, &post(body)).await;
        assert_eq!(status, expected, "{text}");
        assert!(text.contains("application/problem+json"), "{text}");
    }
}

#[tokio::test]
async fn nobody_is_served_without_the_token() {
    let served = Served::new().await;
    let path = socket::path(&served.house.data());
    assert_eq!(mode(&path), 0o600);
    assert_eq!(mode(&Token::path(&served.house.data())), 0o600);
    for (header, target) in [
        ("", "/v1/health"),
        ("Authorization: Bearer nonsense\r\n", "/v1/runs"),
        ("Authorization: Basic cm9vdDo=\r\n", "/log/checkpoint"),
        ("", "/nothing/here"),
    ] {
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\n\r\n"
        );
        let stream = UnixStream::connect(&path).await.unwrap();
        assert_eq!(answer(stream, &request).await.0, 401);
        let (status, text) = served.raw(&request).await;
        assert_eq!(status, 401);
        assert!(text.contains("control.token"), "{text}");
    }
}

#[tokio::test]
async fn over_tcp_one_can_look_and_nothing_more() {
    let served = Served::new().await;
    let run = served
        .client()
        .await
        .open(&request(false))
        .await
        .unwrap()
        .run;
    let token = served.token().header();
    let ask = |method: &str, host: &str, path: &str| {
        format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nAuthorization: {token}\r\n\
             Connection: close\r\nContent-Type: application/json\r\nContent-Length: 0\r\n\r\n"
        )
    };
    assert_eq!(
        served
            .raw(&ask("GET", "localhost:7400", "/v1/runs"))
            .await
            .0,
        200
    );
    for (method, path) in [
        ("POST", "/v1/runs".to_owned()),
        ("DELETE", format!("/v1/runs/{run}")),
        ("POST", format!("/v1/runs/{run}/revoke")),
        ("POST", "/v1/reindex".to_owned()),
        ("GET", format!("/v1/runs/{run}/attach")),
    ] {
        let (status, text) = served.raw(&ask(method, "127.0.0.1", &path)).await;
        assert_eq!(status, 403, "{text}");
        let problem: Problem = serde_json::from_str(text.split_once("\n\n").unwrap().1).unwrap();
        assert_eq!(problem.kind, "urn:bailiwick:role");
    }
    assert!(served.running.registry.find(&run).is_some());
    // A name that somebody else's name server leads here, even with the token.
    let (status, text) = served
        .raw(&ask("GET", "evil.example:7400", "/v1/runs"))
        .await;
    assert_eq!(status, 403);
    assert!(text.contains("urn:bailiwick:host"), "{text}");
    let headless = format!("GET /v1/runs HTTP/1.0\r\nAuthorization: {token}\r\n\r\n");
    assert_eq!(served.raw(&headless).await.0, 403);
}

#[tokio::test]
async fn the_log_is_published_as_it_is() {
    let served = Served::new().await;
    served.client().await.open(&request(false)).await.unwrap();
    served.running.log.checkpoint_now().unwrap();
    let url = format!("http://{}", served.network);
    let token = served.token().header();
    let client = Client::over_network(&url, token.trim_start_matches("Bearer ")).unwrap();
    for client in [client, served.client().await] {
        let checkpoint = client.log_file("checkpoint").await.unwrap().unwrap();
        assert!(checkpoint.starts_with(b"test.example/log\n1\n"));
        let file = "tile/entries/000.p/1";
        let bundle = client.log_file(file).await.unwrap().unwrap();
        assert_eq!(
            bundle,
            std::fs::read(served.house.data().join("log").join(file)).unwrap()
        );
        assert_eq!(client.log_file("tile/0/001").await.unwrap(), None);
        assert_eq!(client.log_file("../log.vkey").await.unwrap(), None);
    }
    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
        )
    };
    let (_, tile) = served.raw(&get("/log/tile/0/000.p/1")).await;
    assert!(tile.contains("immutable"), "{tile}");
    let (_, checkpoint) = served.raw(&get("/log/checkpoint")).await;
    assert!(
        checkpoint.contains("content-type: text/plain"),
        "{checkpoint}"
    );
    let (status, _) = served
        .raw(&get("/log/tile/%2e%2e/%2e%2e/keys/log.key"))
        .await;
    assert_eq!(status, 404);
}

#[tokio::test]
async fn the_record_is_searched_from_near_and_far() {
    let served = Served::new().await;
    let client = served.client().await;
    let run = client.open(&request(false)).await.unwrap().run;
    client.revoke(&run).await.unwrap();
    let url = format!("http://{}", served.network);
    let token = served.token().header();
    let far = Client::over_network(&url, token.trim_start_matches("Bearer ")).unwrap();
    for client in [&client, &far] {
        // What the launcher said is in a payload, and found like the rest.
        let search = Search {
            words: Some("a reaso* & \"reason\"".into()),
            run: Some(run.to_string()),
            since: Some(bailiwick_run::Time::from_millis(1)),
            limit: Some(5),
            ..Search::default()
        };
        let answer = client.search(&search).await.unwrap();
        assert!(answer.complete && !answer.more);
        let found: Vec<_> = answer.hits.iter().map(|hit| hit.r#type.as_str()).collect();
        assert_eq!(found, ["run.opened"]);
        let all = Search {
            run: Some(run.to_string()),
            ..Search::default()
        };
        let all = client.search(&all).await.unwrap();
        let states: Vec<_> = all.hits.iter().map(|hit| hit.state.as_deref()).collect();
        assert_eq!(states, [Some("revoked"), None]);
    }
    let rebuilt = client.reindex().await.unwrap();
    assert!(rebuilt.records >= 2);
    assert_eq!(far.index().await.unwrap().rebuilds, 1);
    let hits = client.search(&Search::default()).await.unwrap().hits;
    let found: Vec<_> = hits.iter().map(|hit| hit.r#type.as_str()).collect();
    // Each of both searches by words was one of what agents wrote, too.
    let searched = "payloads.searched";
    let expected = [
        "index.remade",
        searched,
        searched,
        "run.closed",
        "run.opened",
    ];
    assert_eq!(found, expected);

    let get = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
        )
    };
    let long = format!("/v1/search?words={}", "x".repeat(2_000));
    for (path, says) in [
        ("/v1/search?words=%22%00--", "no letter or digit"),
        ("/v1/search?run=last", "neither a run's id"),
        ("/v1/search?since=yesterday", "RFC 3339"),
        ("/v1/search?limit=-1", "invalid digit"),
        ("/v1/search?limit=99999999999", "number too large"),
        ("/v1/search?sql=DROP", "unknown field"),
        ("/v1/search?denied=perhaps", "true"),
        (long.as_str(), "at most 1024"),
    ] {
        let (status, text) = served.raw(&get(path)).await;
        assert_eq!(status, 400, "{path}: {text}");
        assert!(text.contains(says), "{path}: {text}");
    }
}

#[tokio::test]
async fn a_run_ends_when_its_launcher_goes_away() {
    let served = Served::new().await;
    let client = served.client().await;
    let run = client.open(&request(true)).await.unwrap().run;
    let attached = client.attach(&run).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(served.running.registry.find(&run).is_some());
    let begun = Instant::now();
    drop(attached);
    soon("the run has ended", || {
        served.running.registry.open_runs() == 0
    })
    .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(served.running.types(run), ["run.opened", "run.closed"]);
    assert_eq!(
        client.run(&run).await.unwrap().summary.ending,
        Some(Ending::Closed)
    );
}

#[tokio::test]
async fn whoever_is_attached_hears_of_every_change() {
    let served = Served::new().await;
    let client = served.client().await;
    let run = client.open(&request(true)).await.unwrap().run;
    let mut attached = client.attach(&run).await.unwrap();
    let error = client.attach(&run).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Refused(problem) if problem.status == 409),
        "{error}"
    );
    client.suspend(&run).await.unwrap();
    assert_eq!(attached.change().await.unwrap(), Change::Suspended);
    client.resume(&run).await.unwrap();
    assert_eq!(attached.change().await.unwrap(), Change::Resumed);
    client.revoke(&run).await.unwrap();
    let ending = Ending::Revoked;
    assert_eq!(attached.change().await.unwrap(), Change::Ended { ending });
    assert!(attached.change().await.is_err());

    let run = client.open(&request(true)).await.unwrap().run;
    let mut attached = client.attach(&run).await.unwrap();
    served.running.registry.stop().await;
    let ending = Ending::GatewayStopped;
    assert_eq!(attached.change().await.unwrap(), Change::Ended { ending });
}

#[tokio::test]
async fn a_token_is_good_where_it_lies_and_nowhere_else() {
    let house = House::new();
    let running = house.start().await;
    let folder = house.dir.path().join("shared");
    let group = nix::unistd::Group::from_gid(nix::unistd::getegid());
    let settings = ServerSettings {
        shared: Some(crate::Shared {
            folder: folder.clone(),
            group: group.unwrap().unwrap().name,
        }),
        ..settings(&house)
    };
    let server = Server::bind(running.registry.clone(), settings, Monitoring::default())
        .await
        .unwrap();
    let network = server.network().unwrap();
    let (stop, stopped) = watch::channel(false);
    let task = tokio::spawn(server.run(stopped));
    assert_eq!(mode(&Token::path(&folder)), 0o640);
    // This user is the gateway's own, so it may do everything by either socket.
    for folder in [&house.data(), &folder] {
        let client = Client::connect(folder).await.unwrap();
        client.open(&request(false)).await.unwrap();
    }
    let (own, shared) = (
        Token::read(&house.data()).unwrap(),
        Token::read(&folder).unwrap(),
    );
    for (place, token, wanted) in [
        (Some(house.data()), &own, 200),
        (Some(house.data()), &shared, 401),
        (Some(folder.clone()), &own, 401),
        (Some(folder.clone()), &shared, 200),
        (None, &own, 200),
        (None, &shared, 401),
    ] {
        let asked = format!(
            "GET /v1/health HTTP/1.1\r\nHost: localhost\r\nAuthorization: {}\r\nConnection: close\r\n\r\n",
            token.header()
        );
        let status = match &place {
            Some(place) => {
                let stream = UnixStream::connect(socket::path(place)).await.unwrap();
                answer(stream, &asked).await.0
            }
            None => {
                answer(TcpStream::connect(network).await.unwrap(), &asked)
                    .await
                    .0
            }
        };
        assert_eq!(status, wanted, "{place:?}");
    }
    stop.send_replace(true);
    task.await.unwrap();
    assert!(!socket::path(&folder).exists());
}

#[tokio::test]
async fn a_client_says_plainly_why_it_cannot_ask() {
    let house = House::new();
    let error = Client::connect(&house.data())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("start it with `bailiwick serve`"), "{error}");

    let running = house.start().await;
    let server = Server::bind(
        running.registry.clone(),
        settings(&house),
        Monitoring::default(),
    )
    .await
    .unwrap();
    let second = Server::bind(
        running.registry.clone(),
        settings(&house),
        Monitoring::default(),
    )
    .await;
    assert!(matches!(second, Err(BindError::Local { .. })));
    // Gone without a word: socket and token are still there.
    drop(server);
    assert!(socket::path(&house.data()).exists());
    let error = Client::connect(&house.data())
        .await
        .unwrap_err()
        .to_string();
    assert!(error.contains("start it with `bailiwick serve`"), "{error}");
    Server::bind(
        running.registry.clone(),
        settings(&house),
        Monitoring::default(),
    )
    .await
    .unwrap();

    let error = Client::over_network("https://x/y", "")
        .unwrap_err()
        .to_string();
    assert!(error.contains("http://HOST:PORT"), "{error}");
}

#[tokio::test]
async fn an_empty_line_is_nothing_new() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let gateway = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
        for part in [head, "\n\n{\"now\":", "\"suspended\"}\n\n"] {
            stream.write_all(part.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    let client = Client::over_network(&url, "t").unwrap();
    let run = "run_00000000000000000000000000".parse().unwrap();
    let mut attached = client.attach(&run).await.unwrap();
    assert_eq!(attached.change().await.unwrap(), Change::Suspended);
    gateway.await.unwrap();
    let error = attached.change().await.unwrap_err().to_string();
    assert!(error.contains("stopped answering"), "{error}");
}

#[tokio::test]
async fn a_stop_clears_the_socket_away_and_hangs_on_nobody() {
    let served = Served::new().await;
    let client = served.client().await;
    let run = client.open(&request(true)).await.unwrap().run;
    let _attached = client.attach(&run).await.unwrap();
    let _idle = TcpStream::connect(served.network).await.unwrap();
    let begun = Instant::now();
    served.stop.send_replace(true);
    served.task.await.unwrap();
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert!(!socket::path(&served.house.data()).exists());
}

#[tokio::test]
async fn a_run_is_suspended_and_resumed_by_who_may_and_by_nobody_else() {
    let served = Served::new().await;
    let client = served.client().await;
    let run = client.open(&request(false)).await.unwrap().run;
    let url = format!("http://{}", served.network);
    let token = served.token().header();
    let far = Client::over_network(&url, token.trim_start_matches("Bearer ")).unwrap();
    let suspended = client.suspend(&run).await.unwrap();
    assert_eq!(suspended.state, RunState::Suspended);
    for refused in [far.resume(&run).await, far.suspend(&run).await] {
        let error = refused.unwrap_err().to_string();
        assert!(error.contains("operator"), "{error}");
    }
    let shown = far.run(&run).await.unwrap();
    assert_eq!(shown.summary.state, RunState::Suspended);
    assert_eq!(client.resume(&run).await.unwrap().state, RunState::Open);
    client.revoke(&run).await.unwrap();
    let error = client.resume(&run).await.unwrap_err().to_string();
    assert!(error.contains("has ended"), "{error}");
}

#[tokio::test]
async fn what_people_look_at_is_answered_and_payloads_are_on_record() {
    let served = Served::new().await;
    let client = served.client().await;
    let opened = client.open(&request(false)).await.unwrap();
    let run = opened.run;
    let get = async |path: &str| {
        let token = served.token().header();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: {token}\r\nConnection: close\r\n\r\n"
        );
        served.raw(&request).await
    };
    client.search(&Search::default()).await.unwrap();
    for (path, status, says) in [
        ("/v1/incidents".to_owned(), 200, r#""runs":[]"#),
        (
            "/v1/incidents?task=triage&limit=5".to_owned(),
            200,
            r#""records":1"#,
        ),
        ("/v1/incidents?limit=x".to_owned(), 400, "invalid digit"),
        ("/v1/incidents?sql=DROP".to_owned(), 400, "unknown field"),
        ("/v1/activity?parts=3".to_owned(), 200, r#""allowed":0"#),
        ("/v1/activity?parts=999".to_owned(), 422, "1 to 240"),
        (
            "/v1/activity?since=2026-01-02T00:00:00Z&until=2026-01-01T00:00:00Z".to_owned(),
            422,
            "ends before",
        ),
        ("/v1/activity?run=last".to_owned(), 422, "`last` is"),
        (
            "/v1/runs?task=triage&words=root".to_owned(),
            200,
            &run.to_string(),
        ),
        ("/v1/runs?before=last".to_owned(), 400, "not a run id"),
        (
            format!("/v1/runs/{run}/scope"),
            200,
            r#""read-1/public.tickets":0"#,
        ),
        (
            "/v1/runs/run_00000000000000000000000000/scope".to_owned(),
            404,
            "no run is called",
        ),
        (
            "/v1/runs/run_00000000000000000000000000/trail".to_owned(),
            404,
            "no run is called",
        ),
        (format!("/v1/records/{run}/9"), 404, "there is no record"),
        ("/v1/records/x/1".to_owned(), 404, "there is no record x/1"),
    ] {
        let (answered, body) = get(&path).await;
        assert_eq!(answered, status, "{path}: {body}");
        assert!(body.contains(says), "{path}: {body}");
    }
    let views = || {
        let gateway = served.running.log.reader().gateway().unwrap();
        let viewed = gateway.into_iter().filter_map(|entry| entry.record.viewed);
        viewed.map(|viewed| viewed.by).collect::<Vec<_>>()
    };
    assert!(views().is_empty());
    let path = format!("/v1/runs/{run}/trail");
    let (_, body) = get(&format!("{path}?payloads=false")).await;
    assert!(
        !body.contains("a reason") && body.contains("not asked for"),
        "{body}"
    );
    assert!(views().is_empty());
    let (_, body) = get(&path).await;
    assert!(body.contains("a reason"), "{body}");
    assert_eq!(views(), ["workflow:control-token"]);
    let trail = client.trail(&run, 0).await.unwrap();
    assert_eq!(
        trail.records[0].payload.as_ref().unwrap()["reason"],
        "a reason"
    );
    assert_eq!(
        views(),
        ["workflow:control-token", opened.launcher.as_str()]
    );
    let (_, body) = get(&format!("/v1/records/{run}/1")).await;
    assert!(body.contains("a reason"), "{body}");
    assert_eq!(views().len(), 3);
}
