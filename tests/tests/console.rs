//! The console in a real browser: for everybody, with what agents write on it, live, and by people who may do more and
//! less.

use std::process::{Child, Stdio};
use std::time::Duration;

use bailiwick_tests::{
    Agent, Browser, Chromium, Run, World, confinement, frontend, mark, me, psql, skipped, task,
};
use serde_json::Value;

/// Names that would do harm wherever they are taken for anything but text.
const HOSTILE: [&str; 6] = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(2)>",
    "</title><svg onload=alert(3)>",
    "{{ 7 * 7 }} javascript:alert(4)",
    "\u{202e}txt.exe\u{2066}",
    "\u{1b}[2J\u{1b}[31mred",
];

/// Where pictures of all pages are put, if this is set.
const PICTURES: &str = "BAILIWICK_CONSOLE_PICTURES";

fn grants() -> String {
    format!(
        "[[read]]\ntarget = \"tickets\"\ntables = [\"public.tickets\", \"public.comments\", \"public.drafts\"]\n\
         [[write]]\ntarget = \"tickets\"\ntables = [\"public.tickets\"]\nverbs = [\"update\"]\napprove = {:?}\n\
         [[mask]]\ntarget = \"tickets\"\ncolumns = [\"public.tickets.email\"]\n",
        me()
    )
}

fn world() -> World {
    World::builder().task(task("triage", &grants())).start()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn send(agent: &mut Agent, sql: &str) {
    agent.send(|out| frontend::query(sql, out).expect("a query"));
}

/// A statement that is held, with what no other has.
fn update() -> (String, String) {
    let mark = mark();
    let sql = format!("UPDATE tickets SET priority = priority + 1 WHERE id = 1 {mark}");
    (sql, mark)
}

/// A run that did what runs do, and what they should not.
struct Story {
    run: Run,
    _agents: Vec<Agent>,
}

fn story(world: &World) -> Story {
    let reason = HOSTILE.join(" ");
    let run = world.open_with(&["--task", "triage", "--reason", &reason]);
    let mut agent = Agent::connect(&run);
    for id in 1..5 {
        let sql = format!("SELECT id, subject, email FROM tickets WHERE id = {id}");
        agent.query(&sql).ok();
    }
    agent
        .query("SELECT 1 /* <img src=x onerror=alert(5)> */")
        .ok();
    agent.query("SELECT number FROM billing.cards").error();
    for name in HOSTILE {
        let answer = agent.query(&format!("SELECT * FROM {}", quoted(name)));
        assert!(answer.error().is_some(), "{name:?} went through");
    }
    // And one that waits for somebody.
    let mut waits = Agent::connect(&run);
    let sql = format!("UPDATE tickets SET subject = '{}' WHERE id = 2", HOSTILE[0]);
    send(&mut waits, &sql);
    world.asked(&run);
    Story {
        run,
        _agents: vec![agent, waits],
    }
}

/// The number of the first record of a run's trail that is like this.
#[track_caller]
fn seq(world: &World, run: &Run, like: impl Fn(&Value) -> bool) -> u64 {
    let trail = world.trail(&run.id);
    let found = trail.iter().find(|entry| like(entry));
    let found = found.unwrap_or_else(|| panic!("no such record in {trail:#?}"));
    found["record"]["seq"].as_u64().expect("its number")
}

fn is_denied(entry: &Value) -> bool {
    entry["record"]["decision"]["effect"] == "deny"
}

/// All pages that there are to look at, by name.
fn pages(world: &World, run: &Run) -> Vec<(&'static str, String)> {
    let id = &run.id;
    let denied = seq(world, run, is_denied);
    let read = seq(world, run, |entry| {
        let text = entry["payload"]["text"].as_str();
        text.is_some_and(|text| text.contains("onerror=alert(5)"))
    });
    vec![
        ("sign-in", "/sign-in".to_owned()),
        ("incidents", "/".to_owned()),
        ("runs", "/runs".to_owned()),
        ("run", format!("/runs/{id}")),
        ("suspend", format!("/runs/{id}/suspend")),
        ("revoke", format!("/runs/{id}/revoke")),
        ("approvals", "/approvals".to_owned()),
        ("tasks", "/tasks".to_owned()),
        ("task", "/tasks/triage".to_owned()),
        ("denied", format!("/records/{id}/{denied}")),
        ("record", format!("/records/{id}/{read}")),
        ("gateway", "/records/gateway/1".to_owned()),
        ("search", "/search?words=tickets".to_owned()),
        ("trouble", "/runs/run_nothing".to_owned()),
    ]
}

/// What a browser says of the page that is not there is no problem of a page.
fn quiet(browser: &mut Chromium) -> Vec<String> {
    let mut problems = browser.problems();
    problems.retain(|problem| !problem.contains("run_nothing"));
    problems
}

#[test]
fn pages_are_accessible_in_light_and_dark_on_screens_and_phones_and_ask_nobody_else() {
    let world = world();
    let story = story(&world);
    let pages = pages(&world, &story.run);
    let folder = std::env::var_os(PICTURES).map(|_| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/tmp/console");
        std::fs::create_dir_all(folder).expect("a folder");
        std::path::PathBuf::from(folder)
    });
    let mut browser = Chromium::of(&world);
    let mut found = Vec::new();
    browser.go("/sign-in");
    found.extend(browser.axe());
    browser.sign_in(&world);
    for (name, path) in &pages {
        browser.go(path);
        // What is folded away counts, too.
        let unfold = "document.querySelectorAll('details').forEach((one) => { one.open = true; })";
        if folder.is_none() {
            browser.evaluate(unfold);
        }
        for (width, scheme) in [
            (1280, "light"),
            (1280, "dark"),
            (360, "dark"),
            (360, "light"),
        ] {
            browser.look(width, scheme);
            let here = format!("{path} at {width}, {scheme}");
            found.extend(browser.axe().iter().map(|one| format!("{here}: {one}")));
            let wide = browser.evaluate(
                "[document.documentElement.scrollWidth, document.documentElement.clientWidth]",
            );
            if wide[0].as_u64() > wide[1].as_u64() {
                found.push(format!("{here}: it scrolls sideways: {wide}"));
            }
            if let Some(folder) = &folder {
                let file = folder.join(format!("{name}-{width}-{scheme}.png"));
                browser.picture(&file, true);
            }
        }
        let problems = quiet(&mut browser);
        found.extend(problems.iter().map(|one| format!("{path}: {one}")));
    }
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn what_agents_write_is_text_and_nothing_else() {
    let world = world();
    let story = story(&world);
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    let mut all = String::new();
    for (_, path) in pages(&world, &story.run) {
        browser.go(&path);
        if path == "/approvals" {
            browser.click("[data-fragment] button");
            browser.until("!!document.querySelector('.payload-shown')");
        }
        if path.starts_with("/records/run_") {
            browser.click("#payload-show");
            browser.until("!!document.querySelector('.payload-shown')");
        }
        let foreign = browser.evaluate(
            "[...document.querySelectorAll('script, img, iframe, object, embed, style, svg[onload], [onerror], [onload], \
             [onclick], [style], base, a[href^=\"javascript:\" i]')].filter((one) => \
             !(one.matches('script[src^=\"/assets/\"]') && !one.textContent))\
             .map((one) => one.outerHTML)",
        );
        assert_eq!(foreign, Value::Array(Vec::new()), "{path}");
        // Neither what turns writing round nor what steers a terminal comes through as it is.
        let raw = browser.text("document.body.textContent");
        let steers = raw.chars().find(|&c| {
            (c.is_control() && c != '\n' && c != '\t')
                || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        });
        assert_eq!(steers, None, "{path}: {raw}");
        assert_eq!(quiet(&mut browser), [""; 0], "{path}");
        all.push_str(&browser.shown());
    }
    for name in &HOSTILE[..4] {
        assert!(all.contains(name), "{name} is not shown: {all}");
    }
    assert!(all.contains("<img src=x onerror=alert(5)>"), "{all}");
    // The policy of the pages would have stopped it: it is in force.
    let said = browser.evaluate(
        "new Promise((done) => { const one = document.createElement('script'); one.textContent = 'window.ran = 1'; \
         document.body.append(one); setTimeout(() => done(window.ran ?? 'stopped'), 50); })",
    );
    assert_eq!(said, "stopped");
    assert!(
        browser.problems().iter().any(|one| one.starts_with("csp")),
        "a violation that nobody was told of"
    );
}

#[test]
fn a_denied_call_appears_at_once_and_leaves_alone_what_somebody_does() {
    let world = world();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    for n in 0..20 {
        agent.query(&format!("SELECT * FROM before_{n}")).error();
    }
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    browser.until("document.body.innerText.includes('before_19')");
    browser.until("document.getElementById('live').dataset.state === 'live'");
    browser.evaluate("window.same = true; document.getElementById('filters').open = true");
    browser.click("#f-launcher");
    browser.write("human:al");
    let place = "document.getElementById('f-launcher').getBoundingClientRect().top";
    let before = browser.evaluate(place).as_f64().expect("a place");
    for name in ["live_1", "live_2"] {
        agent.query(&format!("SELECT * FROM {name}")).error();
        browser.within(
            2_000,
            &format!("document.querySelector('main').innerText.includes('{name}')"),
        );
        browser.write("i");
    }
    assert_eq!(browser.evaluate("window.same"), true, "it was loaded anew");
    assert_eq!(browser.text("document.activeElement.id"), "f-launcher");
    assert_eq!(browser.text("document.activeElement.value"), "human:alii");
    assert_eq!(
        browser.evaluate("document.getElementById('filters').open"),
        true
    );
    assert_eq!(browser.evaluate("scrollY > 200"), true);
    let after = browser.evaluate(place).as_f64().expect("a place");
    assert!((before - after).abs() < 3.0, "it moved: {before}, {after}");
    // People who cannot see it are told.
    let news = browser.text("document.getElementById('news').textContent");
    assert!(news.contains("live_2"), "nobody was told: {news:?}");
    assert_eq!(quiet(&mut browser), [""; 0]);
}

fn psql_waits(run: &Run, sql: &str) -> Child {
    psql()
        .arg(run.url())
        .args(["-XAtc", sql])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("psql")
}

#[test]
fn people_decide_what_is_held() {
    if confinement().map_err(skipped).is_err() {
        return;
    }
    let world = world();
    let run = world.open_confined("triage");
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    browser.go("/approvals");
    browser.until("document.getElementById('live').dataset.state === 'live'");
    let (sql, _) = update();
    let held = psql_waits(&run, &sql);
    let asked = world.asked(&run);
    let here = format!("[data-approval={}]", asked["id"]);
    // It is there without a reload, with what would be done, and without the agent's own words.
    browser.within(3_000, &format!("!!document.querySelector('article{here}')"));
    let words = browser.text(&format!(
        "document.querySelector('article{here}').innerText"
    ));
    assert!(
        words.contains("update public.tickets (priority)"),
        "{words}"
    );
    assert!(!words.contains("UPDATE tickets SET"), "{words}");
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "0");
    assert_eq!(browser.follow(&format!("{here} [data-act=approve]")), 200);
    let said = held.wait_with_output().expect("psql");
    assert_eq!(String::from_utf8_lossy(&said.stdout).trim(), "UPDATE 1");
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "1");
    browser.until(&format!(
        "document.querySelector('tr{here}')?.innerText.includes({:?})",
        me()
    ));
    // And the next one not.
    let (sql, _) = update();
    let held = psql_waits(&run, &sql);
    let asked = world.asked(&run);
    let here = format!("[data-approval={}]", asked["id"]);
    browser.until(&format!("!!document.querySelector('article{here}')"));
    // A no without a reason does not leave the page.
    browser.click(&format!("{here} [data-act=deny]"));
    assert_eq!(world.asked(&run)["id"], asked["id"]);
    browser.click(&format!("{here} [name=reason]"));
    browser.write("not before <noon>");
    browser.follow(&format!("{here} [data-act=deny]"));
    let said = held.wait_with_output().expect("psql");
    let error = String::from_utf8_lossy(&said.stderr);
    assert!(error.contains("not before <noon>"), "{error}");
    assert_eq!(world.sql("SELECT priority FROM tickets WHERE id = 1"), "1");
    assert_eq!(quiet(&mut browser), [""; 0]);
}

#[test]
fn people_suspend_resume_and_revoke_a_run() {
    let world = world();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT number FROM billing.cards").error();
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    browser.until("!!document.querySelector('.incident [data-act=suspend]')");
    browser.follow(".incident [data-act=suspend]");
    agent.query("SELECT 1").ok();
    // One press stops nothing: whoever suspends it is asked once more.
    browser.follow("#confirm");
    assert!(agent.last_words().is_some(), "it was not cut");
    let words = browser.shown();
    assert!(words.to_lowercase().contains("suspended"), "{words}");
    assert!(Agent::try_connect(&run).is_err(), "its credential works");
    // Whoever lets it go on, or ends it, is asked once more.
    browser.follow("[data-act=resume]");
    assert!(Agent::try_connect(&run).is_err(), "nobody had said yes");
    browser.follow("#confirm");
    let mut agent = Agent::connect(&run);
    browser.follow("[data-act=revoke]");
    agent.query("SELECT 1").ok();
    browser.follow("#confirm");
    assert!(agent.last_words().is_some(), "it was not cut");
    assert!(Agent::try_connect(&run).is_err(), "its credential works");
    let ended = world.trail(&run.id);
    let ended = &ended.last().expect("records")["record"];
    assert_eq!(ended["type"], "run.closed", "{ended:#}");
    assert!(ended.to_string().contains(&me()), "{ended:#}");
    assert_eq!(quiet(&mut browser), [""; 0]);
}

#[test]
fn everything_works_without_scripts() {
    let world = world();
    let story = story(&world);
    let run = &story.run.id;
    let mut browser = Chromium::without_scripts(&world);
    // The link does not fill in its code, so it is typed.
    let link = world.console_link();
    let (_, code) = link.split_once("#code=").expect("a code");
    assert_eq!(browser.go("/sign-in"), 200);
    browser.click("#code");
    browser.write(code);
    browser.follow("#by-link button");
    for (name, path) in pages(&world, &story.run) {
        let status = browser.go(&path);
        assert_eq!(status == 200, name != "trouble", "{path}: {status}");
        let words = browser.shown();
        assert!(words.len() > 100, "{path}: {words}");
        assert_eq!(quiet(&mut browser), [""; 0], "{path}");
    }
    let denied = seq(&world, &story.run, is_denied);
    browser.go(&format!("/records/{run}/{denied}"));
    browser.follow("#payload-show");
    let words = browser.shown();
    assert!(
        words.contains("SELECT number FROM billing.cards"),
        "{words}"
    );
    browser.go(&format!("/runs/{run}"));
    browser.follow("[data-act=suspend]");
    drop(Agent::connect(&story.run));
    browser.follow("#confirm");
    assert!(Agent::try_connect(&story.run).is_err());
    browser.follow(".top form button");
    browser.go("/runs");
    assert_eq!(browser.text("location.pathname"), "/sign-in");
}

#[test]
fn it_can_be_used_by_keyboard_alone() {
    let world = world();
    let story = story(&world);
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    browser.until("document.querySelectorAll('[data-item]').length > 0");
    browser.go("/");
    browser.press("Tab");
    assert_eq!(browser.text("document.activeElement.className"), "skip");
    browser.until("document.activeElement.getBoundingClientRect().top >= 0");
    browser.press("Enter");
    browser.until("location.hash === '#main' && document.activeElement.id === 'main'");
    for path in [
        "/",
        &format!("/runs/{}", story.run.id),
        "/approvals",
        "/search",
    ] {
        browser.go(path);
        tabs(&mut browser, path);
    }
    // Single keys, and how they are switched off.
    browser.go("/");
    browser.press("?");
    browser.until("document.getElementById('keys').open");
    browser.press("Escape");
    browser.until("!document.getElementById('keys').open");
    browser.press("j");
    assert_eq!(
        browser.evaluate("!!document.activeElement.closest('[data-item]')"),
        true
    );
    browser.press("g");
    browser.press("r");
    browser.until("location.pathname === '/runs' && document.readyState === 'complete'");
    browser.press("/");
    browser.until("document.activeElement.type === 'search'");
    browser.write("gt?");
    assert_eq!(browser.text("document.activeElement.value"), "gt?");
    assert_eq!(
        browser.evaluate("document.getElementById('keys').open"),
        false
    );
    browser.go("/runs");
    browser.press("?");
    browser.click("#keys-on");
    browser.press("Escape");
    browser.evaluate("document.activeElement.blur()");
    browser.press("g");
    browser.press("t");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(browser.text("location.pathname"), "/runs");
    assert_eq!(quiet(&mut browser), [""; 0]);
}

/// Goes through a page by the tabulator: all that can be used is reached, in its order, and is seen to be.
#[track_caller]
fn tabs(browser: &mut Chromium, path: &str) {
    let all = browser.evaluate(
        "window.order = [...document.querySelectorAll('a[href], button, input, select, textarea, summary, \
         [tabindex=\"0\"]')].filter((one) => one.type !== 'hidden' && !one.disabled && one.checkVisibility()); \
         order.length",
    );
    let all = all.as_i64().expect("a number");
    assert!(all > 10, "{path}: {all}");
    for at in 0..all {
        browser.press("Tab");
        let here = browser.evaluate(
            "(() => { const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect(); \
             return [order.indexOf(one), style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2, \
             box.bottom > 0 && box.top < innerHeight && box.width > 0, one.outerHTML.slice(0, 200)]; })()",
        );
        assert_eq!(here[0], at, "{path}: out of order: {here}");
        assert_eq!(here[1], true, "{path}: its focus is not seen: {here}");
        assert_eq!(here[2], true, "{path}: it is not on the screen: {here}");
    }
}

#[test]
fn a_viewer_sees_and_does_nothing_else() {
    let secret = "p".repeat(40);
    let mut world = World::builder()
        .task(task(
            "triage",
            &grants().replace(&me(), "human:nobody@localhost"),
        ))
        .variable("PROGRAM", &secret)
        .prepare();
    world.configure(&format!(
        "[roles]\nviewer = [{:?}]\n[[tokens]]\nname = \"robot\"\nsecret = \"${{PROGRAM}}\"\nroles = [\"operator\"]\n",
        me()
    ));
    let file = world.config().with_file_name("tasks/triage.toml");
    let text = std::fs::read_to_string(&file).expect("the task");
    std::fs::write(
        &file,
        text.replace("\"human:*\"", "\"human:*\", \"workflow:*\""),
    )
    .expect("it");
    world.serve();
    // A program opens the run: who only looks cannot.
    let opened = Browser::default().send(
        "POST",
        &format!("http://127.0.0.1:{}/v1/runs", world.control()),
        &[
            ("Authorization", &format!("Bearer {secret}")),
            ("Content-Type", "application/json"),
        ],
        r#"{"task": "triage", "confinement": "elsewhere"}"#,
    );
    let json: Value = serde_json::from_str(&opened.body).expect("JSON");
    let now = std::time::Instant::now();
    let run = Run {
        id: json["run"]
            .as_str()
            .unwrap_or_else(|| panic!("{opened:#?}"))
            .to_owned(),
        env: serde_json::from_value(json["env"].clone()).expect("its environment"),
        opened: now,
        returned: now,
    };
    let mut agent = Agent::connect(&run);
    agent
        .query("SELECT number, 'a_word_of_theirs' FROM billing.cards")
        .error();
    send(&mut agent, &update().0);
    let asked = world.asked(&run);
    let record = asked["record"].as_str().expect("its record").to_owned();
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    let id = &run.id;
    let ways = [
        "/".to_owned(),
        "/runs".to_owned(),
        format!("/runs/{id}"),
        "/approvals".to_owned(),
        format!("/records/{record}"),
        "/search?words=billing".to_owned(),
    ];
    for path in ways {
        assert_eq!(browser.go(&path), 200, "{path}");
        let acts = browser.evaluate(
            "[...document.querySelectorAll('[data-act], [data-fragment], #receipt, main form[method=post]')].length",
        );
        assert_eq!(acts, 0, "{path}: {}", browser.shown());
        let words = browser.shown();
        assert!(
            words.contains("triage") || words.contains("billing"),
            "{path}: {words}"
        );
        assert!(!words.contains("a_word_of_theirs"), "{path}: {words}");
    }
    // Whoever sends it by hand is refused, with a word of the role that is missing.
    let ask = asked["id"].as_str().expect("its id");
    for (path, role) in [
        (format!("/runs/{id}/suspend"), "operator"),
        (format!("/runs/{id}/revoke"), "operator"),
        (format!("/approvals/{ask}/approve"), "approver"),
        (format!("/approvals/{ask}/deny"), "approver"),
        (format!("/approvals/{ask}/words"), ""),
        (format!("/records/{record}/payload"), "auditor"),
        (format!("/records/{record}/receipt"), "auditor"),
        (format!("/runs/{id}/verify"), "auditor"),
    ] {
        let told = browser.evaluate(&format!(
            "fetch('{path}', {{ method: 'POST', body: new URLSearchParams({{ reason: 'no', \
             csrf: document.querySelector('[name=csrf]').value }}) }})\
             .then(async (answer) => [answer.status, await answer.text()])"
        ));
        assert_eq!(told[0], 403, "{path}: {told}");
        assert!(
            told[1].as_str().is_some_and(|told| told.contains(role)),
            "{path}: {told}"
        );
    }
    agent_still_waits(&world, &run, ask);
}

#[track_caller]
fn agent_still_waits(world: &World, run: &Run, ask: &str) {
    assert_eq!(world.asked(run)["id"], ask);
    assert!(Agent::try_connect(run).is_ok(), "the run was touched");
}

#[test]
fn who_sees_a_payload_is_on_record_and_a_receipt_proves_the_call() {
    let world = world();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    let mark = mark();
    agent
        .query(&format!("SELECT * FROM billing.cards {mark}"))
        .error();
    let denied = seq(&world, &run, is_denied);
    let told = |world: &World, kind: &str| {
        let gateway = world.trail("gateway").into_iter();
        let records = gateway.map(|entry| entry["record"].clone());
        let of = |record: &Value| record["type"] == kind && record.to_string().contains(&run.id);
        records.filter(of).count()
    };
    let viewed = |world: &World| told(world, "payloads.viewed");
    let before = viewed(&world);
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    let path = format!("/records/{}/{denied}", run.id);
    browser.go(&path);
    let source = browser.text("document.documentElement.outerHTML");
    assert!(!source.contains(mark.trim()), "{source}");
    browser.click("#payload-show");
    let script = format!(
        "document.querySelector('.payload-shown')?.textContent.includes({:?})",
        mark.trim()
    );
    browser.until(&script);
    assert_eq!(viewed(&world), before + 1);
    // It is covered by a checkpoint within moments.
    bailiwick_tests::eventually("it is proved", Duration::from_secs(10), || {
        browser.go(&path);
        let there = browser.evaluate("!!document.getElementById('receipt')");
        there.as_bool().filter(|there| *there)
    });
    browser.click("#receipt");
    let file = browser.downloaded(&format!("{}-{denied}.tlog-proof", run.id));
    let file = file.to_str().expect("a path");
    assert_eq!(told(&world, "receipt.taken"), 1);
    let key = std::fs::read_to_string(world.data().join("log.vkey")).expect("the key");
    let verified = world.bailiwick(&["verify-receipt", file, "--key", key.trim()]);
    assert!(verified.ok().contains(&run.id), "{verified:#?}");
    let text = std::fs::read_to_string(file).expect("the receipt");
    // One character of the record, which is in it as base64.
    let (head, body) = text.split_once("extra e").expect("the record");
    let altered = format!("{head}extra f{body}");
    std::fs::write(file, altered).expect("the receipt");
    let forged = world.bailiwick(&["verify-receipt", file, "--key", key.trim()]);
    assert!(!forged.status.success(), "{forged:#?}");
    assert_eq!(quiet(&mut browser), [""; 0]);
}

#[test]
fn a_trail_that_was_altered_stands_above_everything_else() {
    let world = world();
    let run = world.open("triage");
    let mut agent = Agent::connect(&run);
    agent.query("SELECT id FROM tickets").ok();
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    let path = format!("/runs/{}", run.id);
    browser.go(&path);
    browser.follow("#verify");
    let words = browser.shown();
    assert!(words.contains("Verified: its trail is whole."), "{words}");
    assert!(words.contains("cosigned by nobody"), "{words}");
    // Enough that the bundle with its records is full: that one is not written again.
    for _ in 0..140 {
        agent.query("SELECT id FROM tickets").ok();
    }
    let entries = world.data().join("log/tile/entries/000");
    bailiwick_tests::eventually("a full bundle", Duration::from_secs(60), || {
        entries.is_file().then_some(())
    });
    let mut bytes = std::fs::read(&entries).expect("a bundle");
    let name = format!("\"launcher\":\"{}\"", me());
    let at = bytes
        .windows(name.len())
        .position(|part| part == name.as_bytes());
    bytes[at.expect("the run's first record") + name.len() - 2] ^= 1;
    std::fs::write(&entries, bytes).expect("a bundle");
    browser.follow("#verify");
    browser.until("!!document.querySelector('.broken[role=alert]')");
    browser.go("/");
    let words = browser.shown();
    assert!(
        words.contains("does not verify") && words.contains(&run.id),
        "{words}"
    );
    let banner = "document.querySelector('.broken').getBoundingClientRect().top < \
                  document.querySelector('h1').getBoundingClientRect().top";
    assert_eq!(browser.evaluate(banner), true);
    for (width, scheme) in [(1280, "light"), (360, "dark")] {
        browser.look(width, scheme);
        assert_eq!(browser.axe(), [""; 0], "at {width}, {scheme}");
    }
    assert_eq!(quiet(&mut browser), [""; 0]);
}

#[test]
fn a_session_that_ends_leads_back_to_signing_in() {
    let world = world();
    let run = world.open("triage");
    let mut browser = Chromium::of(&world);
    browser.sign_in(&world);
    let cookies = browser.cookies();
    assert_eq!(cookies.len(), 1, "{cookies:#?}");
    assert_eq!(cookies[0]["httpOnly"], true);
    assert_eq!(cookies[0]["sameSite"], "Strict");
    browser.go(&format!("/runs/{}", run.id));
    browser.until("document.getElementById('live').dataset.state === 'live'");
    // As from another window of the same browser.
    browser.evaluate(
        "fetch('/sign-out', { method: 'POST', body: new URLSearchParams({ csrf: \
         document.querySelector('[name=csrf]').value }) }).then(() => true)",
    );
    browser.until("location.pathname === '/sign-in'");
    let words = browser.shown();
    assert!(words.contains("bailiwick console"), "{words}");
    // Whoever signs in again is where they were.
    let link = world.console_link();
    let (_, code) = link.split_once("#code=").expect("a code");
    browser.click("#code");
    browser.write(code);
    browser.click("#by-link button");
    browser.until(&format!("location.pathname === '/runs/{}'", run.id));
}
