//! People at the console: how they come in, what they cannot be made to do, and when they are out.

use super::*;

/// What a browser gets and sends.
struct Page {
    status: u16,
    head: String,
    body: String,
}

impl Page {
    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(this, _)| this.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }

    /// The value of a cookie that it sets.
    fn cookie(&self) -> &str {
        let cookie = self.header("set-cookie").unwrap();
        cookie.split(';').next().unwrap()
    }
}

impl Served {
    /// A request like a browser's, with these headers.
    async fn browse(&self, method: &str, path: &str, headers: &[String], body: &str) -> Page {
        let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        for header in headers {
            request.push_str(&format!("{header}\r\n"));
        }
        if !headers.iter().any(|header| header.starts_with("Host: ")) {
            request.push_str(&format!("Host: {}\r\n", self.network));
        }
        if method == "POST" {
            request.push_str("Content-Type: application/x-www-form-urlencoded\r\n");
            request.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        let (status, text) = self.raw(&format!("{request}\r\n{body}")).await;
        let (head, body) = text.split_once("\n\n").unwrap();
        Page {
            status,
            head: head.replace("\r\n", "\n"),
            body: body.to_owned(),
        }
    }

    /// A form of the console's own page.
    async fn submit(&self, path: &str, cookie: &str, body: &str) -> Page {
        let headers = [self.origin(), format!("Cookie: {cookie}")];
        self.browse("POST", path, &headers, body).await
    }

    fn origin(&self) -> String {
        format!("Origin: http://{}", self.network)
    }

    /// The code of a new link.
    async fn code(&self) -> String {
        let link = self.client().await.console_link().await.unwrap();
        let at = format!("http://{}/sign-in#code=", self.network);
        link.url.strip_prefix(&at).unwrap().to_owned()
    }

    /// Signs in by a link: the cookie, and the session's mark.
    async fn sign_in(&self) -> (String, String) {
        let body = format!("code={}&next=/", self.code().await);
        let page = self.submit("/sign-in/link", "", &body).await;
        assert_eq!(
            (page.status, page.header("location")),
            (303, Some("/")),
            "{}",
            page.body
        );
        let cookie = page.cookie().to_owned();
        let csrf = self.me(&cookie).await.unwrap().csrf.unwrap();
        (cookie, csrf)
    }

    /// Who a cookie is, if it is anybody.
    async fn me(&self, cookie: &str) -> Option<crate::api::Me> {
        let page = self
            .browse("GET", "/v1/me", &[format!("Cookie: {cookie}")], "")
            .await;
        match page.status {
            200 => Some(serde_json::from_str(&page.body).unwrap()),
            status => {
                assert_eq!(status, 401, "{}", page.body);
                None
            }
        }
    }

    /// The types of the gateway's own records, with what they say of people.
    fn records(&self) -> Vec<(String, String)> {
        let entries = self.running.log.reader().gateway().unwrap();
        let said = |entry: bailiwick_audit::Entry| {
            let record: serde_json::Value = serde_json::from_slice(&entry.bytes).unwrap();
            (entry.record.r#type, record.to_string())
        };
        entries.into_iter().map(said).collect()
    }
}

#[tokio::test]
async fn a_link_signs_one_person_in_once() {
    let served = Served::new().await;
    let me = peer::launcher(nix::unistd::getuid().as_raw()).unwrap();
    let code = served.code().await;
    // Whoever looks where the link leads does not use it up: not by the page, and not by asking for the form's address.
    for path in ["/sign-in", "/sign-in/link"] {
        let page = served.browse("GET", path, &[], "").await;
        assert!(page.header("set-cookie").is_none());
        assert!(!page.body.contains(&code));
    }
    let types = || {
        let records = served.records().into_iter();
        records.map(|(kind, _)| kind).collect::<Vec<_>>()
    };
    assert_eq!(types(), ["link.made"]);

    let body = format!("code={code}&next=/runs%3Fstate%3Dopen");
    let page = served.submit("/sign-in/link", "", &body).await;
    assert_eq!(
        (page.status, page.header("location")),
        (303, Some("/runs?state=open"))
    );
    let cookie = page.header("set-cookie").unwrap();
    assert!(cookie.starts_with("bailiwick_session=bws_"), "{cookie}");
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict"),
        "{cookie}"
    );
    let signed_in = served.me(page.cookie()).await.unwrap();
    assert_eq!(signed_in.name, me.as_str());
    assert_eq!(signed_in.roles, crate::Role::ALL.into());
    assert_eq!(types(), ["link.made", "person.signed_in"]);
    for (_, record) in served.records() {
        assert!(record.contains(me.as_str()), "{record}");
        assert!(!record.contains(&code), "{record}");
    }

    for (code, says) in [
        (code.as_str(), "was used before"),
        ("bwl_0000", "too old, or never was one"),
        ("", "too old, or never was one"),
    ] {
        let page = served
            .submit("/sign-in/link", "", &format!("code={code}"))
            .await;
        assert_eq!(page.status, 403);
        assert!(page.header("set-cookie").is_none());
        assert!(page.body.contains(says), "{}", page.body);
    }
    let denied = &served.records()[2..];
    assert!(denied.iter().all(|(kind, _)| kind == "login.denied"));
    assert!(
        denied[0].1.contains("the link of human:"),
        "{}",
        denied[0].1
    );
    assert!(!denied[0].1.contains(&code));
}

#[tokio::test]
async fn only_the_local_user_gets_a_link() {
    let token = "t".repeat(40);
    let admin = crate::ProgramToken::new("deploy", &token, [crate::Role::Admin].into()).unwrap();
    let served = Served::with(PeopleSettings {
        tokens: vec![admin],
        ..PeopleSettings::default()
    })
    .await;
    let (cookie, csrf) = served.sign_in().await;
    let control = served.token().header();
    for headers in [
        vec![format!("Authorization: {control}")],
        vec![format!("Authorization: Bearer {token}")],
        vec![
            format!("Cookie: {cookie}"),
            served.origin(),
            format!("x-csrf-token: {csrf}"),
        ],
        vec![],
    ] {
        let page = served
            .browse("POST", "/v1/console/link", &headers, "")
            .await;
        assert!(
            matches!(page.status, 401 | 403),
            "{headers:?}: {}",
            page.body
        );
        assert!(!page.body.contains("bwl_"));
    }
    // Over the socket, a program is that program, and nobody without a token is anybody.
    let path = socket::path(&served.house.data());
    for (header, wanted) in [
        (format!("Authorization: Bearer {token}\r\n"), 403),
        (String::new(), 401),
        (format!("Cookie: {cookie}\r\n"), 401),
    ] {
        let stream = UnixStream::connect(&path).await.unwrap();
        let request = format!(
            "POST /v1/console/link HTTP/1.1\r\nHost: localhost\r\n{header}Connection: close\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(answer(stream, &request).await.0, wanted, "{header}");
    }
}

#[tokio::test]
async fn nobody_can_be_made_to_send_a_form() {
    let served = Served::new().await;
    let (cookie, csrf) = served.sign_in().await;
    let (other_cookie, other) = served.sign_in().await;
    assert_ne!(csrf, other);
    let run = served
        .client()
        .await
        .open(&request(false))
        .await
        .unwrap()
        .run;
    let path = format!("/v1/runs/{run}/revoke");
    let mine = format!("Cookie: {cookie}");
    let site = |site: &str| format!("Sec-Fetch-Site: {site}");
    let foreign = "Origin: http://evil.example".to_owned();
    let good = format!("csrf={csrf}");
    for (headers, body, kind) in [
        (vec![mine.clone(), served.origin()], String::new(), "csrf"),
        (
            vec![mine.clone(), served.origin()],
            format!("csrf={other}"),
            "csrf",
        ),
        (
            vec![mine.clone(), served.origin()],
            "csrf=".to_owned(),
            "csrf",
        ),
        (
            vec![mine.clone(), served.origin()],
            format!("{good}&csrf={csrf}"),
            "csrf",
        ),
        (
            vec![
                mine.clone(),
                served.origin(),
                format!("x-csrf-token: {other}"),
            ],
            good.clone(),
            "csrf",
        ),
        (vec![mine.clone()], good.clone(), "origin"),
        (vec![mine.clone(), foreign.clone()], good.clone(), "origin"),
        (
            vec![mine.clone(), "Origin: null".to_owned()],
            good.clone(),
            "origin",
        ),
        (
            vec![mine.clone(), "Origin: http://127.0.0.1:8000".to_owned()],
            good.clone(),
            "origin",
        ),
        (vec![mine.clone(), site("none")], good.clone(), "origin"),
        // What another site sends does not even have a session.
        (
            vec![mine.clone(), served.origin(), site("cross-site")],
            good.clone(),
            "token",
        ),
        (
            vec![mine.clone(), served.origin(), site("same-site")],
            good.clone(),
            "token",
        ),
        (
            vec![format!("{mine}; {cookie}"), served.origin()],
            good.clone(),
            "token",
        ),
    ] {
        let page = served.browse("POST", &path, &headers, &body).await;
        let problem: Problem = serde_json::from_str(&page.body).unwrap();
        assert_eq!(
            problem.kind,
            format!("urn:bailiwick:{kind}"),
            "{headers:?} {body}"
        );
        assert!(served.running.registry.find(&run).is_some());
    }
    // Nor to sign in as somebody else, or out.
    for (path, headers) in [
        ("/sign-in/link", vec![foreign.clone()]),
        ("/sign-in/link", vec![]),
        ("/sign-out", vec![mine.clone(), foreign.clone()]),
    ] {
        let body = format!("code={}&{good}", served.code().await);
        let page = served.browse("POST", path, &headers, &body).await;
        assert_eq!(page.status, 403, "{path} {headers:?}");
        assert!(page.header("set-cookie").is_none());
    }
    // Not even a look is had in somebody's name by another site.
    let headers = [mine.clone(), site("cross-site")];
    assert_eq!(
        served.browse("GET", "/v1/runs", &headers, "").await.status,
        401
    );
    let headers = [mine.clone(), site("same-origin")];
    assert_eq!(
        served.browse("GET", "/v1/runs", &headers, "").await.status,
        200
    );
    // And the form of our own page does what it says.
    let page = served.submit(&path, &cookie, &good).await;
    assert_eq!(page.status, 200, "{}", page.body);
    assert!(served.running.registry.find(&run).is_none());
    drop(other_cookie);
}

#[tokio::test]
async fn a_session_is_new_at_every_sign_in_and_ends_when_told() {
    let served = Served::new().await;
    // Somebody else has planted a cookie, or two.
    let planted = "bailiwick_session=bws_planted";
    let body = format!("code={}", served.code().await);
    let page = served.submit("/sign-in/link", planted, &body).await;
    assert_eq!(page.status, 303);
    let cookie = page.cookie().to_owned();
    assert_ne!(cookie, planted);
    assert!(served.me(planted).await.is_none());
    assert!(served.me(&format!("{planted}; {cookie}")).await.is_none());
    let csrf = served.me(&cookie).await.unwrap().csrf.unwrap();
    // Another sign-in in the same browser has another one.
    let body = format!("code={}", served.code().await);
    let again = served.submit("/sign-in/link", &cookie, &body).await;
    assert_ne!(again.cookie(), cookie);

    let out = served
        .submit("/sign-out", &cookie, &format!("csrf={csrf}"))
        .await;
    assert_eq!(
        (out.status, out.header("location")),
        (303, Some("/sign-in"))
    );
    assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert!(served.me(&cookie).await.is_none());
    assert!(served.me(again.cookie()).await.is_some());
    let me = peer::launcher(nix::unistd::getuid().as_raw()).unwrap();
    let said = || {
        let records = served.records().into_iter();
        records
            .filter(|(kind, _)| kind == "person.signed_out")
            .collect::<Vec<_>>()
    };
    assert_eq!(said().len(), 1);
    assert!(said()[0].1.contains(me.as_str()), "{:?}", said());
    // Whoever is nobody any more signs out of nothing.
    served
        .submit("/sign-out", &cookie, &format!("csrf={csrf}"))
        .await;
    assert_eq!(said().len(), 1);
}

#[tokio::test]
async fn without_a_record_nobody_gets_a_link_and_whoever_signs_out_is_out() {
    let served = Served::new().await;
    let (cookie, csrf) = served.sign_in().await;
    served.running.log.close();
    let refused = served.client().await.console_link().await.err().unwrap();
    assert!(refused.to_string().contains("recorded"), "{refused}");
    let out = served
        .submit("/sign-out", &cookie, &format!("csrf={csrf}"))
        .await;
    assert_eq!(out.status, 303);
    assert!(served.me(&cookie).await.is_none());
}

#[tokio::test]
async fn a_restart_ends_every_session() {
    let served = Served::new().await;
    let (cookie, _) = served.sign_in().await;
    served.stop.send_replace(true);
    served.task.await.unwrap();
    let settings = ServerSettings {
        network: Some(served.network),
        ..settings(&served.house)
    };
    let server = Server::bind(
        served.running.registry.clone(),
        settings,
        Monitoring::default(),
    )
    .await
    .unwrap();
    let (stop, stopped) = watch::channel(false);
    let again = Served {
        network: server.network().unwrap(),
        house: served.house,
        running: served.running,
        stop,
        task: tokio::spawn(server.run(stopped)),
    };
    assert!(again.me(&cookie).await.is_none());
}

#[tokio::test]
async fn browsers_are_told_what_pages_are_not_for() {
    let served = Served::new().await;
    let (cookie, _) = served.sign_in().await;
    for (path, cookie) in [
        ("/sign-in", ""),
        ("/v1/runs", cookie.as_str()),
        ("/v1/runs", ""),
        ("/nothing", cookie.as_str()),
    ] {
        let page = served
            .browse("GET", path, &[format!("Cookie: {cookie}")], "")
            .await;
        let policy = page.header("content-security-policy").unwrap();
        for part in [
            "default-src 'none'",
            "frame-ancestors 'none'",
            "base-uri 'none'",
            "form-action 'self'",
        ] {
            assert!(policy.contains(part), "{path}: {policy}");
        }
        assert!(!policy.contains("unsafe"), "{policy}");
        for (name, value) in [
            ("x-frame-options", "DENY"),
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(page.header(name), Some(value), "{path} {name}");
        }
    }
    let page = served.browse("GET", "/sign-in", &[], "").await;
    assert!(
        !page.body.contains("<style")
            && !page.body.contains("style=")
            && !page.body.contains("onclick")
    );
}

#[tokio::test]
async fn only_by_names_that_are_ours_is_anybody_served() {
    let served = Served::with(PeopleSettings {
        place: Some("https://bailiwick.acme.com".parse().unwrap()),
        ..PeopleSettings::default()
    })
    .await;
    let link = served.client().await.console_link().await.unwrap().url;
    let code = link
        .strip_prefix("https://bailiwick.acme.com/sign-in#code=")
        .unwrap();
    let host = |host: &str| format!("Host: {host}");
    for (name, status) in [
        ("bailiwick.acme.com", 200),
        ("BAILIWICK.acme.com", 200),
        ("localhost", 200),
        ("evil.example", 403),
        ("bailiwick.acme.com.evil.example", 403),
        ("bailiwick.acme.com:8000", 403),
    ] {
        let page = served.browse("GET", "/sign-in", &[host(name)], "").await;
        assert_eq!(page.status, status, "{name}");
    }
    // With TLS, the cookie is for the console alone.
    let headers = [
        host("bailiwick.acme.com"),
        "Origin: https://bailiwick.acme.com".to_owned(),
    ];
    let page = served
        .browse("POST", "/sign-in/link", &headers, &format!("code={code}"))
        .await;
    let cookie = page.header("set-cookie").unwrap();
    assert!(
        cookie.starts_with("__Host-bailiwick_session=bws_"),
        "{cookie}"
    );
    assert!(
        cookie.ends_with("; Path=/; HttpOnly; SameSite=Strict; Secure"),
        "{cookie}"
    );
}

#[tokio::test]
async fn who_is_not_signed_in_is_led_there_and_back() {
    let served = Served::new().await;
    let html = "Accept: text/html,application/xhtml+xml".to_owned();
    let page = served
        .browse(
            "GET",
            "/runs/run_1?state=a%26b",
            std::slice::from_ref(&html),
            "",
        )
        .await;
    let to = page.header("location").unwrap().to_owned();
    assert_eq!(page.status, 303);
    assert!(to.starts_with("/sign-in?next=%2Fruns%2Frun"), "{to}");
    // What is asked for by programs says so.
    let page = served
        .browse("GET", "/v1/runs", std::slice::from_ref(&html), "")
        .await;
    assert_eq!(page.status, 401);
    // Whoever follows a link from elsewhere comes without their cookie, though they are signed in.
    let (cookie, _) = served.sign_in().await;
    let cookie = format!("Cookie: {cookie}");
    let site = "Sec-Fetch-Site: cross-site".to_owned();
    let page = served.browse("GET", &to, &[html.clone(), site], "").await;
    assert_eq!(page.status, 200);
    let again = page
        .body
        .split("0; url=")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap();
    let again = again.replace("&#38;", "&").replace("&amp;", "&");
    assert!(again.ends_with("again=1"), "{again}");
    let site = "Sec-Fetch-Site: same-origin".to_owned();
    let page = served
        .browse("GET", &again, &[html, site, cookie], "")
        .await;
    assert_eq!(page.header("location"), Some("/runs/run_1?state=a%26b"));
}

#[tokio::test]
async fn attempts_to_sign_in_are_counted() {
    let served = Served::new().await;
    for _ in 0..crate::limits::ATTEMPTS_MAX {
        let page = served.submit("/sign-in/link", "", "code=bwl_guess").await;
        assert_eq!(page.status, 403);
    }
    let records = served.records().len();
    for (method, path) in [
        ("POST", "/sign-in/link"),
        ("GET", "/sign-in/oidc"),
        ("GET", "/sign-in/oidc/callback"),
    ] {
        let page = served
            .browse(method, path, &[served.origin()], "code=bwl_guess")
            .await;
        assert_eq!(page.status, 429, "{path}");
        assert_eq!(page.header("retry-after"), Some("60"));
    }
    assert_eq!(
        served.records().len(),
        records,
        "what is refused so is not recorded"
    );
}

#[tokio::test]
async fn an_answer_that_goes_on_ends_with_its_session() {
    let served = Served::new().await;
    let (cookie, csrf) = served.sign_in().await;
    let run = served
        .client()
        .await
        .open(&request(true))
        .await
        .unwrap()
        .run;
    let mut stream = TcpStream::connect(served.network).await.unwrap();
    let ask = format!(
        "GET /v1/runs/{run}/attach HTTP/1.1\r\nHost: {}\r\nCookie: {cookie}\r\nConnection: close\r\n\r\n",
        served.network
    );
    stream.write_all(ask.as_bytes()).await.unwrap();
    let mut head = [0; 15];
    stream.read_exact(&mut head).await.unwrap();
    assert_eq!(&head, b"HTTP/1.1 200 OK");
    served
        .submit("/sign-out", &cookie, &format!("csrf={csrf}"))
        .await;
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(5), stream.read_to_end(&mut rest));
    assert!(ended.await.is_ok(), "it went on after the session");
}
