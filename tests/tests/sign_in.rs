//! People sign in by a real identity provider, and by a link from the gateway's own machine; and nobody does by what is
//! forged, stale, or somebody else's.

use std::path::PathBuf;

use bailiwick_tests::{
    Browser, Lasting, Page, World, eventually, finish, free_port, http_task, me, node_oidc,
};
use serde_json::Value;
use tempfile::TempDir;

const PASSWORD: &str = "the-gateway's-own-password-there";

struct Place {
    provider: Lasting,
    world: World,
    port: u16,
    _folder: TempDir,
}

impl Place {
    /// A gateway with a provider, in which these lines stand under `[oidc]`, too.
    fn new(more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let port = free_port();
        let redirect = format!("http://127.0.0.1:{port}/sign-in/oidc/callback");
        let provider = Lasting::start(
            node_oidc("oidc_provider.mjs").arg(&redirect),
            "port",
            &folder.path().join("said"),
        );
        let issuer = format!("http://127.0.0.1:{}", provider.value("port"));
        let mut world = gateway(port, &issuer, more);
        world.serve();
        let place = Self {
            provider,
            world,
            port,
            _folder: folder,
        };
        place.ready();
        place
    }

    fn ready(&self) {
        let here = format!("127.0.0.1:{}", self.port);
        eventually(
            "the console listens",
            std::time::Duration::from_secs(20),
            || std::net::TcpStream::connect(&here).ok(),
        );
    }

    fn console(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn at_provider(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.provider.value("port"))
    }

    fn lie(&self, about: &str) {
        let about = about.replace(' ', "%20");
        let page = Browser::default().get(&self.at_provider(&format!("/lie?about={about}")));
        assert_eq!(page.status, 200);
    }

    /// Goes to the provider and signs in there: the URL that the provider sends the browser back with.
    fn back(&self, browser: &mut Browser, account: &str) -> String {
        let page = browser.get(&self.console("/sign-in/oidc?next=/v1/me"));
        assert_eq!(page.status, 303, "{page:#?}");
        let mut url = page.location().to_owned();
        assert!(url.contains("code_challenge_method=S256"), "{url}");
        for _ in 0..10 {
            if url.starts_with(&self.console("/")) {
                return url;
            }
            if url.contains("/interaction/") {
                url.push_str(&format!("?account={account}"));
            }
            let page = browser.get(&url);
            assert!(matches!(page.status, 302 | 303), "{url}: {page:#?}");
            url = page.location().to_owned();
            if url.starts_with('/') {
                url = self.at_provider(&url);
            }
        }
        panic!("it never came back: {url}");
    }

    fn sign_in(&self, account: &str) -> (Browser, Page) {
        let mut browser = Browser::default();
        let back = self.back(&mut browser, account);
        let page = browser.get(&back);
        (browser, page)
    }

    fn me(&self, browser: &mut Browser) -> Option<Value> {
        let page = browser.get(&self.console("/v1/me"));
        (page.status == 200).then(|| serde_json::from_str(&page.body).expect("JSON"))
    }

    /// The gateway's own records of this type.
    fn records(&self, kind: &str) -> Vec<Value> {
        let token = std::fs::read_to_string(self.world.data().join("control.token"));
        let authorization = format!("Bearer {}", token.expect("the control token").trim());
        let page = Browser::default().send(
            "GET",
            &self.console("/v1/gateway/trail"),
            &[("Authorization", &authorization)],
            "",
        );
        let trail: Value = serde_json::from_str(&page.body).expect("a trail");
        let records = trail["records"].as_array().expect("records");
        let records = records.iter().map(|entry| entry["record"].clone());
        records.filter(|record| record["type"] == kind).collect()
    }

    #[track_caller]
    fn refused(&self, what: &str, browser: &mut Browser, page: &Page, says: &str) {
        assert!(matches!(page.status, 403 | 502), "{what}: {page:#?}");
        assert!(self.me(browser).is_none(), "{what}: somebody is signed in");
        let denied = self.records("login.denied");
        let last = denied.last().map(ToString::to_string).unwrap_or_default();
        assert!(last.contains(says), "{what}: {last}");
        assert!(self.records("person.signed_in").is_empty(), "{what}");
    }
}

/// A gateway whose console is at this port.
fn gateway(port: u16, issuer: &str, more: &str) -> World {
    let target = "[targets.crm]\nkind = \"http\"\nurl = \"http://127.0.0.1:9\"\n";
    let grants = "[[read]]\ntarget = \"crm\"\nrequests = [\"GET /customers/*\"]\n\
                  [[destroy]]\ntarget = \"crm\"\nrequests = [\"DELETE /customers/*\"]\napprove = \"group:data-owners\"\n";
    let world = World::builder()
        .task(http_task("look", grants))
        .section(target)
        .variable("OIDC_SECRET", PASSWORD)
        .variable("GRAFANA_TOKEN", &"g".repeat(40))
        .prepare();
    let file = world.config();
    let text = std::fs::read_to_string(&file).expect("the configuration");
    let text = text.replace(
        "control = \"127.0.0.1:0\"",
        &format!("control = \"127.0.0.1:{port}\""),
    );
    let people = format!(
        r#"
[console]
url = "http://127.0.0.1:{port}"
[roles]
viewer = ["human:bob@acme.com"]
operator = ["human:*@evil.example", "human:*@localhost"]
auditor = ["group:data-owners"]
approver = ["group:data-owners"]
[groups]
on-call = ["human:bob@acme.com"]
[[tokens]]
name = "grafana"
secret = "${{GRAFANA_TOKEN}}"
roles = ["viewer"]
[oidc]
issuer = "{issuer}"
client_id = "bailiwick"
client_secret = "${{OIDC_SECRET}}"
groups_claim = "groups"
{more}
"#
    );
    std::fs::write(&file, text + &people).expect("the configuration");
    world
}

const DOMAINS: &str = "domains = [\"acme.com\"]";

#[test]
fn a_person_signs_in_by_the_identity_provider() {
    let place = Place::new(DOMAINS);
    let (mut browser, page) = place.sign_in("alice");
    assert_eq!(page.status, 200, "{page:#?}");
    assert!(page.body.contains("url=/v1/me"), "{page:#?}");
    let cookie = page.header("set-cookie").expect("a cookie");
    assert!(cookie.contains("HttpOnly; SameSite=Strict"), "{cookie}");
    let me = place.me(&mut browser).expect("alice");
    assert_eq!(me["name"], "human:alice@acme.com");
    assert_eq!(me["via"], "oidc");
    assert_eq!(me["roles"], serde_json::json!(["approver", "auditor"]));
    assert_eq!(me["groups"], serde_json::json!(["data-owners"]));
    let signed_in = place.records("person.signed_in");
    assert_eq!(signed_in.len(), 1);
    assert_eq!(signed_in[0]["by"], "human:alice@acme.com");

    let (mut other, _) = place.sign_in("bob");
    let bob = place.me(&mut other).expect("bob");
    assert_eq!(bob["roles"], serde_json::json!(["viewer"]));
    assert_eq!(bob["groups"], serde_json::json!(["on-call"]));
    let csrf = bob["csrf"].as_str().expect("the session's mark");
    let page = other.post(&place.console("/v1/reindex"), &format!("csrf={csrf}"));
    assert_eq!(page.status, 403);
    assert!(page.body.contains("wants the role `admin`"), "{page:#?}");
    // What the provider says of itself was asked for once for all of them.
    let asked = Browser::default().get(&place.at_provider("/asked"));
    assert_eq!(asked.body, "1");
    // A code is good once, and for the browser that asked for it.
    let mut third = Browser::default();
    let back = place.back(&mut third, "alice");
    let mut stranger = Browser::default();
    assert_eq!(stranger.get(&back).status, 403);
    assert_eq!(third.get(&back).status, 200);
    assert_eq!(third.get(&back).status, 403);
    let page = other.post(&place.console("/sign-out"), &format!("csrf={csrf}"));
    assert_eq!(page.status, 303);
    assert!(place.me(&mut other).is_none());
}

#[test]
fn what_the_provider_says_is_believed_only_if_all_of_it_is_right() {
    let place = Place::new(DOMAINS);
    for (lie, says) in [
        ("nonce", "nonce"),
        ("no nonce", "nonce"),
        ("audience", "audience"),
        ("second audience", "audience"),
        ("issuer", "issuer"),
        ("expired", "expired"),
        ("old", "not issued just now"),
        ("key", "signature"),
        ("unknown key", "key"),
        ("none", "ignature"),
        ("hmac", "lgorithm"),
    ] {
        place.lie(lie);
        let (mut browser, page) = place.sign_in("alice");
        place.refused(lie, &mut browser, &page, says);
    }
    // No log holds what somebody could sign in with.
    for secret in [PASSWORD, "eyJ"] {
        assert!(!place.world.said().contains(secret));
    }
}

#[test]
fn nobody_signs_in_who_may_not_and_no_answer_is_believed_that_was_altered() {
    let place = Place::new(DOMAINS);
    for (account, says) in [
        ("eve", "none of the `domains`"),
        ("mallory", "email_verified"),
        ("root", "local users"),
        ("nobody", "has no role"),
    ] {
        let (mut browser, page) = place.sign_in(account);
        place.refused(account, &mut browser, &page, says);
    }
    let mut browser = Browser::default();
    let alter = |back: &str, name: &str, value: &str| {
        let (head, query) = back.split_once('?').expect("a query");
        let parts = query.split('&').map(|part| match part.split_once('=') {
            Some((this, _)) if this == name => format!("{name}={value}"),
            _ => part.to_owned(),
        });
        format!("{head}?{}", parts.collect::<Vec<_>>().join("&"))
    };
    for (name, value, says) in [
        ("state", "another", "`state`"),
        ("iss", "https%3A%2F%2Fid.evil.example", "`iss`"),
        ("code", "another", "did not take the code"),
    ] {
        let back = place.back(&mut browser, "alice");
        let page = browser.get(&alter(&back, name, value));
        place.refused(name, &mut browser, &page, says);
        // That was the browser's one try: the right answer comes too late.
        let page = browser.get(&back);
        place.refused(name, &mut browser, &page, "did not begin to sign in");
    }
    let back = place.back(&mut browser, "alice");
    let without: Vec<_> = back
        .split('&')
        .filter(|part| !part.starts_with("iss="))
        .collect();
    let page = browser.get(&without.join("&"));
    place.refused("no iss", &mut browser, &page, "has no `iss`");
}

#[test]
fn a_provider_that_is_away_keeps_nothing_else_from_working() {
    let port = free_port();
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let mut world = gateway(port, &nobody, "");
    world.serve();
    let said = eventually("it says so", std::time::Duration::from_secs(20), || {
        let said = world.said();
        said.contains("the identity provider cannot be used")
            .then_some(said)
    });
    assert!(said.contains(&nobody), "{said}");
    let mut browser = Browser::default();
    let page = browser.get(&format!("http://127.0.0.1:{port}/sign-in/oidc"));
    assert_eq!(page.status, 502, "{page:#?}");
    assert!(page.body.contains("cannot be used"), "{page:#?}");
    let authorization = format!("Bearer {}", "g".repeat(40));
    let headers = [("Authorization", authorization.as_str())];
    let page = browser.send(
        "GET",
        &format!("http://127.0.0.1:{port}/v1/runs"),
        &headers,
        "",
    );
    assert_eq!(page.status, 200, "{page:#?}");
}

#[test]
fn a_provider_does_not_send_people_elsewhere() {
    // The gateway asks for people to be sent to where its console is, and the provider does not know that place.
    let folder = tempfile::tempdir().expect("a folder");
    let said: PathBuf = folder.path().join("said");
    let other = "http://127.0.0.1:9/sign-in/oidc/callback";
    let provider = Lasting::start(node_oidc("oidc_provider.mjs").arg(other), "port", &said);
    let issuer = format!("http://127.0.0.1:{}", provider.value("port"));
    let port = free_port();
    let mut world = gateway(port, &issuer, "");
    world.serve();
    let mut browser = Browser::default();
    let page = browser.get(&format!("http://127.0.0.1:{port}/sign-in/oidc"));
    let page = browser.get(page.location());
    assert_eq!(page.status, 400, "{page:#?}");
    assert!(page.body.contains("redirect_uri"), "{page:#?}");
}

#[test]
fn a_link_is_for_the_local_user() {
    let place = Place::new(DOMAINS);
    let link = finish(&mut place.world.command(&["console"]));
    let url = link.ok().trim().to_owned();
    let code = url
        .strip_prefix(&place.console("/sign-in#code="))
        .unwrap_or_else(|| panic!("{url}"));
    let mut browser = Browser::default();
    let page = browser.post(
        &place.console("/sign-in/link"),
        &format!("code={code}&next=/v1/me"),
    );
    assert_eq!(page.status, 303, "{page:#?}");
    let me = place.me(&mut browser).expect("the local user");
    assert_eq!(me["via"], "local");
    assert_eq!(me["roles"], serde_json::json!(["operator"]));
    let again = browser.post(&place.console("/sign-in/link"), &format!("code={code}"));
    assert_eq!(again.status, 403);
    let json = finish(&mut place.world.command(&["console", "--json"]));
    let json: Value = serde_json::from_str(json.ok()).expect("JSON");
    assert!(json["expires"].is_string(), "{json}");
}

#[test]
fn whoever_launched_a_run_approves_nothing_of_it_by_another_name() {
    let same = format!(
        "{DOMAINS}\n[people]\nalice = [{:?}, \"human:alice@acme.com\"]",
        me()
    );
    for (people, approves) in [(DOMAINS, true), (&same, false)] {
        let place = Place::new(people);
        let run = place.world.open("look");
        let deletes = place.world.http("crm") + "/customers/1";
        let authorization = format!("Bearer {}", run.token());
        // It waits until it is decided, and then there is nobody at the target.
        let agent = std::thread::spawn(move || {
            let headers = [("Authorization", authorization.as_str())];
            Browser::default()
                .send("DELETE", &deletes, &headers, "")
                .status
        });
        let asked = place.world.asked(&run);
        let id = asked["id"].as_str().expect("an id");
        let (mut browser, _) = place.sign_in("alice");
        let alice = place.me(&mut browser).expect("alice");
        let form = format!("csrf={}&reason=no", alice["csrf"].as_str().expect("a mark"));
        let shown = browser.get(&place.console("/approvals"));
        let button = format!("action=\"/approvals/{id}/approve\"");
        assert_eq!(shown.body.contains(&button), approves, "{shown:#?}");
        let page = browser.post(&place.console(&format!("/approvals/{id}/approve")), &form);
        if approves {
            assert_eq!(page.status, 303, "{page:#?}");
        } else {
            assert_eq!(page.status, 403, "{page:#?}");
            let why = format!("human:alice@acme.com, who is also {} ([people]", me());
            assert!(page.body.contains(&why), "{page:#?}");
            let page = browser.post(&place.console(&format!("/approvals/{id}/deny")), &form);
            assert_eq!(page.status, 303, "{page:#?}");
        }
        let status = agent.join().expect("an answer");
        assert_eq!(status == 403, !approves, "{status}");
    }
}
