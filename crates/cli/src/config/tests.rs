use bailiwick_gateway::{Credential, Credentials};

use super::*;

fn load(text: &str) -> Result<Config, Problems> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.toml");
    std::fs::write(&file, text).unwrap();
    Config::load(&file)
}

fn problems(text: &str) -> Vec<String> {
    let errors = load(text).err().unwrap().to_string();
    let strip = |line: &str| line.split_once("bailiwick.toml").unwrap().1.to_owned();
    errors.lines().map(strip).collect()
}

const GOOD: &str = r#"
name = "acme.example/bailiwick"
[listen]
control  = "127.0.0.1:7400"
postgres = "127.0.0.1:7432"
[targets.tickets]
kind = "postgres"
url  = "postgres://svc:${TICKETS_PASSWORD}@db:5432/tickets?sslmode=verify-full"
"#;

#[test]
fn the_documentation_shows_and_names_every_key() {
    let text = include_str!("../../../../docs/configuration.md");
    let blocks = text.split("```toml\n").skip(1);
    let example: String = blocks
        .map(|block| block.split("```").next().unwrap())
        .collect();
    let config = load(&example).unwrap_or_else(|problems| panic!("{problems}"));
    assert_eq!(config.targets.len(), 3);
    let known = document::KNOWN.take();
    let tables = [
        "listen",
        "tls",
        "log",
        "metrics",
        "roles",
        "groups",
        "people",
        "console",
        "oidc",
        "approvals",
    ];
    for key in &known {
        let named = match &**key {
            "targets" | "notify" => text.contains(&format!("`[{key}.NAME]`")),
            "tokens" | "signals" => text.contains(&format!("`[[{key}]]`")),
            key if tables.contains(&key) => text.contains(&format!("`[{key}]`")),
            key => {
                text.contains(&format!("`{key}`"))
                    || text.contains(&format!(" {key},"))
                    || text.contains(&format!(" {key} }}"))
            }
        };
        assert!(named, "{key} is not in docs/configuration.md");
    }
    assert!(known.len() > 50, "{known:?}");
}

#[test]
fn what_is_said_of_production_loads() {
    let text = include_str!("../../../../docs/production.md");
    let block = text.split("```toml\n").nth(1).unwrap();
    let config = load(block.split("```").next().unwrap());
    let config = config.unwrap_or_else(|problems| panic!("{problems}"));
    // The unit makes these two folders.
    let unit = include_str!("../../../../contrib/systemd/bailiwick.service");
    for (folder, path) in [
        ("StateDirectory=", &config.data),
        (
            "RuntimeDirectory=",
            &config.listen.shared.as_ref().unwrap().folder,
        ),
    ] {
        let name = path.file_name().unwrap().display();
        assert!(unit.contains(&format!("\n{folder}{name}\n")), "{folder}");
    }
}

#[test]
fn the_documented_example_loads() {
    let config = load(GOOD).unwrap();
    assert_eq!(config.name, "acme.example/bailiwick");
    assert!(config.data.is_absolute() && config.data.ends_with("data"));
    assert_eq!(config.secret_variables(), ["TICKETS_PASSWORD"]);
    assert_eq!(config.hidden(), [config.data.as_path()]);
    assert!(config.warnings().is_empty());
}

#[test]
fn who_signs_the_log_is_kept_from_runs() {
    let log = "[log]\npolicy = \"log.policy\"\nsigner = \"/run/signer.sock\"\n[listen]";
    let config = load(&GOOD.replace("[listen]", log)).unwrap();
    let policy = config.log.policy.as_deref().unwrap();
    assert!(policy.is_absolute() && policy.ends_with("log.policy"));
    assert!(config.read_only().iter().any(|path| path == policy));
    assert!(config.hidden().contains(&PathBuf::from("/run/signer.sock")));
    let typo = GOOD.replace("[listen]", "[log]\nsinger = \"x\"\n[listen]");
    assert!(problems(&typo)[0].contains("did you mean `signer`?"));
}

#[test]
fn a_group_is_let_in_where_it_is_said_what_it_may() {
    let with =
        |lines: &str, more: &str| GOOD.replace("[listen]", &format!("[listen]\n{lines}")) + more;
    const ROLES: &str = "[roles]\noperator = [\"human:*@localhost\"]";
    let config = load(&with("control_group = \"agents\"", ROLES)).unwrap();
    let shared = config.listen.shared.as_ref().unwrap();
    assert_eq!(shared.folder, Path::new(SHARED_FOLDER));
    assert!(config.hidden().contains(&shared.folder));
    for (lines, more, says) in [
        (
            "control_group = \"agents\"",
            "",
            "nobody of that group may do anything",
        ),
        (
            "control_folder = \"/run/b\"",
            ROLES,
            "nobody is served there",
        ),
        (
            "control_group = \"agents\"\ncontrol_folder = \"run\"",
            ROLES,
            "absolute path",
        ),
        (
            "control_group = \"agents\"\ncontrol_folder = \"/\"",
            ROLES,
            "absolute path",
        ),
    ] {
        let problems = problems(&with(lines, more));
        assert!(problems[0].contains(says), "{problems:?}");
    }
}

#[test]
fn a_target_says_as_whom_it_is_entered() {
    let of =
        |line: &str| load(&format!("{GOOD}{line}")).map(|config| config.targets[0].credentials);
    assert_eq!(of("").ok(), Some(Credentials::Shared));
    assert_eq!(
        of("credentials = \"shared\"").ok(),
        Some(Credentials::Shared)
    );
    assert_eq!(
        of("credentials = \"per-run\"").ok(),
        Some(Credentials::PerRun)
    );
    let typo = problems(&format!("{GOOD}credentials = \"per run\""));
    assert!(
        typo[0].contains("targets.tickets.credentials: `per run` is neither"),
        "{typo:?}"
    );
}

#[test]
fn a_password_in_the_file_hides_the_file() {
    let config = load(&GOOD.replace("${TICKETS_PASSWORD}", "hunter2")).unwrap();
    assert!(config.hidden().contains(&config.file));
    assert!(
        config
            .warnings()
            .iter()
            .any(|w| w.contains("holds a password or another secret itself"))
    );
}

#[test]
fn problems_name_place_key_and_what_was_meant() {
    assert_eq!(
        problems(&GOOD.replace("kind", "knid")),
        [
            ":6:10: targets.tickets.kind: this key is missing: it says what the target speaks, \
             such as \"postgres\"",
            ":7:1: targets.tickets.knid: this key is not known; did you mean `kind`?",
        ]
    );
    assert_eq!(
        problems(&GOOD.replace("\"postgres\"", "\"postgers\"")),
        [
            ":7:8: targets.tickets.kind: this version has no postgers targets; it has: \
             http, mcp, postgres; did you mean `postgres`?"
        ]
    );
    assert_eq!(
        problems(&GOOD.replace("[listen]", "[listen]\nhttp = \":7480\"")),
        [":4:8: listen.http: `:7480` is not an address and a port, such as \"127.0.0.1:7432\""]
    );
    assert_eq!(
        problems(&GOOD.replace("127.0.0.1:7432", "localhost")),
        [
            ":5:12: listen.postgres: `localhost` is not an address and a port, such as \
             \"127.0.0.1:7432\""
        ]
    );
    let errors = problems(&GOOD.replace("url  = \"", "url  = \"oops"));
    assert!(errors[0].starts_with(":8:"), "{errors:?}");
    assert!(problems("name = ")[0].contains("not valid TOML"));
    assert!(problems("name = \"a\"")[0].contains("targets"));
    assert_eq!(
        problems(&GOOD.replace("name = \"acme.example/bailiwick\"", "name = \"${NAME}\"")),
        [
            ":2:8: name: `${…}` is not filled in here: secrets are named in a target's `url`, `auth` \
             and `env`, in `payload_key`, in `client_secret`, in a token's `secret`, and in the `url`, `secret` \
             and `authorization` of [notify]"
        ]
    );
}

/// A configuration with one target of this text.
fn with_target(text: &str) -> String {
    format!("name = \"a/b\"\n[targets.t]\n{text}")
}

/// The upstream of its only target. Nothing but `PATH` and `HOME` is looked up.
fn upstream(text: &str) -> bailiwick_gateway::Upstream {
    let config = load(&with_target(text)).map_err(|problems| problems.to_string());
    let config = config.unwrap();
    let upstream = config.targets[0].upstream(config.folder());
    upstream.map_err(|problems| problems.to_string()).unwrap()
}

const CRM: &str = "kind = \"http\"\nurl = \"https://crm.internal/api/v2\"\n";

#[test]
fn a_target_says_what_the_gateway_shows_it() {
    let home = std::env::var("HOME").unwrap();
    let credential = |auth: &str| upstream(&format!("{CRM}auth = {auth}")).credential;
    assert!(matches!(upstream(CRM).credential, Credential::None));
    match credential("{ bearer = \"${HOME}\" }") {
        Credential::Bearer(token) => assert_eq!(token, home),
        other => panic!("{other:?}"),
    }
    match credential("{ user = \"svc\", password = \"a ${HOME}\" }") {
        Credential::Basic { user, password } => {
            assert_eq!((user.as_str(), password), ("svc", format!("a {home}")));
        }
        other => panic!("{other:?}"),
    }
    match credential("{ header = \"X-Api-Key\", value = \"Key ${HOME}\" }") {
        Credential::Header { name, value } => {
            assert_eq!((name.as_str(), value), ("x-api-key", format!("Key {home}")));
        }
        other => panic!("{other:?}"),
    }
    match credential(
        "{ token_url = \"https://id.internal/token\", client_id = \"gw\", \
         client_secret = \"${HOME}\", scope = \"crm.read\" }",
    ) {
        Credential::OAuth(client) => {
            assert_eq!(client.client_secret, home);
            assert_eq!(client.scope.as_deref(), Some("crm.read"));
            assert_eq!(client.resource, None);
        }
        other => panic!("{other:?}"),
    }
    let more = upstream(&format!(
        "{CRM}private = true\ntoken_header = \"X-Api-Key\"\nclient_cert = \"c.pem\"\n\
         client_key = \"k.pem\""
    ));
    assert!(more.private && !upstream(CRM).private);
    assert_eq!(more.token_header.as_deref(), Some("x-api-key"));
    let (cert, key) = more.certificate.unwrap();
    assert!(cert.is_absolute() && cert.ends_with("c.pem") && key.ends_with("k.pem"));
}

#[test]
fn what_a_target_shows_is_kept_from_runs() {
    let text = with_target(&format!(
        "{CRM}ca = \"ca.pem\"\nclient_cert = \"c.pem\"\nclient_key = \"k.pem\"\n\
         auth = {{ user = \"${{CRM_USER}}\", password = \"${{file:pw}}\" }}"
    ));
    let config = load(&text).unwrap();
    assert_eq!(config.secret_variables(), ["CRM_USER"]);
    let folder = config.folder().to_owned();
    let hidden = config.hidden();
    assert!(hidden.contains(&folder.join("k.pem")) && hidden.contains(&folder.join("pw")));
    assert!(!hidden.contains(&config.file));
    let read_only = config.read_only();
    assert!(
        read_only.contains(&folder.join("ca.pem")) && read_only.contains(&folder.join("c.pem"))
    );
    let endpoint = config.targets[0].endpoint(&folder).unwrap();
    assert_eq!(endpoint.database, "/api/v2");
    assert!(endpoint.roots.unwrap().ends_with("/ca.pem"));
    for literal in [
        "auth = { bearer = \"abc\" }",
        "auth = { user = \"${U}\", password = \"abc\" }",
        "auth = { header = \"x-api-key\", value = \"abc\" }",
    ] {
        let config = load(&with_target(&format!("{CRM}{literal}"))).unwrap();
        assert!(config.hidden().contains(&config.file), "{literal}");
        let warnings = config.warnings();
        assert!(
            warnings.iter().any(|w| w.contains("another secret itself")),
            "{literal}"
        );
    }
}

#[test]
fn a_server_is_started_by_a_command_that_runs_cannot_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.toml");
    std::fs::create_dir_all(folder.path().join("servers/helpdesk")).unwrap();
    for name in ["servers/helpdesk/main.py", "own.py", "data.sqlite"] {
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let text = with_target(
        "kind = \"mcp\"\ncommand = [\"sh\", \"servers/helpdesk/main.py\", \"own.py\", \"data.sqlite\"]\n\
         env = { HELPDESK_KEY = \"${HOME}\", MODE = \"plain\" }",
    );
    std::fs::write(&file, &text).unwrap();
    let config = Config::load(&file).unwrap();
    let upstream = config.targets[0].upstream(config.folder()).unwrap();
    let command = upstream.command.unwrap();
    assert_eq!(command.words[1], "servers/helpdesk/main.py");
    assert_eq!(command.env["HELPDESK_KEY"], std::env::var("HOME").unwrap());
    assert_eq!(command.env["MODE"], "plain");
    assert_eq!(command.folder, config.folder());
    assert!(!config.hidden().contains(&config.file));
    let read_only = config.read_only();
    let has = |name: &str| read_only.contains(&config.folder().join(name));
    assert!(has("servers/helpdesk") && has("own.py") && !has("") && !has("data.sqlite"));
    assert!(
        read_only.iter().any(|path| path.ends_with("sh")),
        "{read_only:?}"
    );
    std::fs::write(&file, text.replace("${HOME}", "abc")).unwrap();
    let config = Config::load(&file).unwrap();
    assert!(config.hidden().contains(&config.file));
}

#[test]
fn problems_of_http_and_mcp_targets_say_what_to_write() {
    let mcp = "kind = \"mcp\"\ncommand = [\"server\"]\n";
    for (text, problem) in [
        (
            format!("{CRM}auth = {{ baerer = \"x\" }}"),
            ":5:10: targets.t.auth.baerer: this key is not known; did you mean `bearer`?",
        ),
        (
            format!("{CRM}auth = {{ user = \"x\" }}"),
            ":5:1: targets.t.auth.password: this key is missing",
        ),
        (
            format!("{CRM}auth = {{ bearer = \"${{A}}\", user = \"x\" }}"),
            ":5:8: targets.t.auth: it has to be one of { bearer }, { user, password }",
        ),
        (
            format!("{CRM}auth = {{ header = \"Host\", value = \"${{A}}\" }}"),
            ":5:19: targets.t.auth.header: no credential travels in `host`",
        ),
        (
            format!(
                "{CRM}auth = {{ token_url = \"http://id/t\", client_id = \"a\", client_secret = \"${{A}}\" }}"
            ),
            ":5:22: targets.t.auth.token_url: it has to be the `https://` URL",
        ),
        (
            "kind = \"http\"\nurl = \"https://u:${P}@crm\"\nauth = { bearer = \"${A}\" }"
                .to_owned(),
            ":5:8: targets.t.auth: the URL has a user already",
        ),
        (
            format!("{CRM}client_cert = \"c.pem\""),
            ":5:15: targets.t.client_cert: its key is missing: `client_key`",
        ),
        (
            format!("{CRM}token_header = \"Authorization\""),
            ":5:16: targets.t.token_header: no credential travels in `authorization`",
        ),
        (
            format!("{CRM}command = [\"x\"]"),
            ":5:11: targets.t.command: only an MCP server is started by a command",
        ),
        (
            format!("{CRM}env = {{}}"),
            ":5:7: targets.t.env: it is for a target that is started by a `command`",
        ),
        (
            format!("{CRM}credentials = \"per-run\""),
            ":5:15: targets.t.credentials: http has no logins of runs",
        ),
        (
            format!("{CRM}openapi = \"none.json\""),
            ":5:11: targets.t.openapi: `none.json`: it cannot be read",
        ),
        (
            format!("{mcp}url = \"https://x/mcp\""),
            ":5:7: targets.t.url: a target has a `url` or a `command`, not both",
        ),
        (
            format!("{mcp}auth = {{ bearer = \"${{A}}\" }}"),
            ":5:8: targets.t.auth: a server that is started by a command is spoken to directly",
        ),
        (
            format!("{mcp}openapi = \"x.json\""),
            ":5:11: targets.t.openapi: an MCP server says itself what its tools are",
        ),
        (
            "kind = \"mcp\"\ncommand = \"node server.js\"".to_owned(),
            ":4:11: targets.t.command: it has to be a list of strings, not a value of type string",
        ),
        (
            "kind = \"mcp\"\ncommand = []".to_owned(),
            ":4:11: targets.t.command: it has to have 1 to 64 entries",
        ),
        (
            "kind = \"mcp\"\ncommand = [\"sh\", \"${KEY}\"]".to_owned(),
            ":4:11: targets.t.command: `${…}` is not filled in here",
        ),
        (
            "kind = \"mcp\"".to_owned(),
            ":2:10: targets.t.url: this key is missing: it says where the server is; or `command`",
        ),
        (
            "kind = \"postgres\"\nurl = \"postgres://u@h/d\"\nprivate = true".to_owned(),
            ":5:11: targets.t.private: a postgres target does not take it",
        ),
    ] {
        let problems = problems(&with_target(&text));
        assert!(problems[0].starts_with(problem), "{text}\n{problems:?}");
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[test]
fn a_description_names_operations() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.toml");
    std::fs::write(&file, with_target(&format!("{CRM}openapi = \"crm.json\""))).unwrap();
    let description = r#"{"openapi": "3.1.0", "servers": [{"url": "/api/v2"}], "paths": {
        "/customers/{id}": {"get": {"operationId": "getCustomer"}, "put": {}}}}"#;
    std::fs::write(folder.path().join("crm.json"), description).unwrap();
    let config = Config::load(&file).unwrap();
    assert_eq!(
        config.targets[0].operations["getCustomer"].path,
        "/customers/{id}"
    );
    assert!(config.warnings()[0].starts_with("`crm.json`: 1 of its operations"));
    assert!(
        config
            .read_only()
            .contains(&config.folder().join("crm.json"))
    );
}

/// What [`GOOD`] is with people.
fn with_people(lines: &str) -> String {
    format!("{GOOD}{lines}")
}

const PEOPLE: &str = r#"
[console]
url = "https://bailiwick.acme.com"
[roles]
admin = ["human:root@localhost"]
viewer = ["human:*@acme.com", "group:data-owners"]
[groups]
data-owners = ["human:alice@acme.com"]
[people]
alice = ["human:alice@acme.com", "human:alice@localhost"]
bob = ["human:bob@localhost", "human:bob@acme.com"]
[[tokens]]
name = "grafana"
secret = "${GRAFANA_TOKEN}"
roles = ["viewer"]
[[tokens]]
name = "deploy"
secret = "${file:deploy.token}"
roles = ["operator", "auditor"]
[oidc]
issuer = "https://accounts.acme.com/realms/main"
client_id = "bailiwick"
client_secret = "${OIDC_SECRET}"
domains = ["Acme.com"]
"#;

fn nobody_is_asked() -> bailiwick_control::Fetch {
    std::sync::Arc::new(|_| Box::pin(async { Err(bailiwick_control::FetchError("no".into())) }))
}

#[test]
fn people_are_configured_and_their_secrets_kept_from_runs() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.toml");
    std::fs::write(&file, with_people(PEOPLE)).unwrap();
    std::fs::write(folder.path().join("deploy.token"), "d".repeat(40) + "\n").unwrap();
    let config = Config::load(&file).unwrap();
    let secret = ["GRAFANA_TOKEN", "OIDC_SECRET", "TICKETS_PASSWORD"];
    assert_eq!(config.secret_variables(), secret);
    assert!(
        config
            .hidden()
            .contains(&folder.path().join("deploy.token"))
    );
    let people = config.people.settings(config.folder(), nobody_is_asked());
    let problem = people.err().unwrap().to_string();
    assert!(
        problem.contains("tokens.secret: the environment variable `GRAFANA_TOKEN`"),
        "{problem}"
    );
}

#[test]
fn a_token_has_to_be_long_and_its_programs_own() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("bailiwick.toml");
    let token = |name: &str| {
        format!(
            "[[tokens]]\nname = \"{name}\"\nsecret = \"${{file:{name}}}\"\nroles = [\"viewer\"]\n"
        )
    };
    std::fs::write(&file, with_people(&(token("one") + &token("two")))).unwrap();
    let secrets = |one: &str, two: &str| {
        std::fs::write(folder.path().join("one"), one).unwrap();
        std::fs::write(folder.path().join("two"), two).unwrap();
        let config = Config::load(&file).unwrap();
        let settings = config.people.settings(config.folder(), nobody_is_asked());
        settings
            .map(|settings| settings.tokens.len())
            .map_err(|problems| problems.to_string())
    };
    let (one, two) = ("1".repeat(32), "2".repeat(32));
    assert_eq!(secrets(&one, &two), Ok(2));
    let short = secrets(&one, "2222").unwrap_err();
    assert!(
        short.contains("32 to 512") && !short.contains("2222"),
        "{short}"
    );
    assert!(
        secrets(&one, &one)
            .unwrap_err()
            .contains("the same secret as that of workflow:one")
    );
}

#[test]
fn what_is_wrong_with_people_is_said_where_it_stands() {
    for (from, to, says) in [
        ("viewer = [", "wiever = [", "did you mean `viewer`?"),
        (
            "\"human:*@acme.com\"",
            "\"alice\"",
            "neither `group:NAME` nor a name",
        ),
        (
            "group:data-owners",
            "group:data-owner",
            "did you mean `data-owners`?",
        ),
        (
            "[\"human:alice@acme.com\"]",
            "[\"group:others\"]",
            "groups.data-owners: `group:others` is not somebody",
        ),
        (
            "data-owners = [",
            "\"data owners\" = [",
            "a group's name has",
        ),
        (
            ", \"human:alice@localhost\"]",
            "]",
            "people.alice: one name is no other",
        ),
        (
            "\"human:alice@localhost\"]",
            "\"human:*@localhost\"]",
            "fits many",
        ),
        (
            "\"human:bob@acme.com\"]",
            "\"human:alice@acme.com\"]",
            "people.bob: `human:alice@acme.com` is somebody else's",
        ),
        (
            "\"human:bob@acme.com\"]",
            "\"bob\"]",
            "people.bob: `bob` is not a launcher",
        ),
        (
            "secret = \"${GRAFANA_TOKEN}\"",
            "secret = \"0123\"",
            "does not stand in the file itself",
        ),
        (
            "secret = \"${GRAFANA_TOKEN}\"",
            "",
            "tokens.secret: this key is missing",
        ),
        (
            "roles = [\"viewer\"]",
            "roles = [\"viwer\"]",
            "did you mean `viewer`?",
        ),
        (
            "roles = [\"viewer\"]",
            "",
            "tokens.roles: this key is missing",
        ),
        (
            "name = \"grafana\"",
            "name = \"Grafana\"",
            "a token's name has",
        ),
        (
            "name = \"grafana\"",
            "name = \"deploy\"",
            "another token that is called `deploy`",
        ),
        (
            "name = \"grafana\"",
            "nome = \"grafana\"",
            "did you mean `name`?",
        ),
        (
            "[[tokens]]\nname = \"grafana\"",
            "[tokens]\nname = \"grafana\"",
            "TOML",
        ),
        (
            "https://bailiwick.acme.com",
            "http://bailiwick.acme.com",
            "not where a console can be",
        ),
        (
            "https://bailiwick.acme.com",
            "https://acme.com/console",
            "without a path",
        ),
        (
            "[console]\nurl = \"https://bailiwick.acme.com\"",
            "",
            "needs the `url` of [console]",
        ),
        (
            "control  = \"127.0.0.1:7400\"",
            "",
            "without `control` under [listen]",
        ),
        (
            "https://accounts.acme.com/",
            "http://accounts.acme.com/",
            "is no issuer",
        ),
        ("realms/main", "realms?main", "is no issuer"),
        (
            "client_id = \"bailiwick\"",
            "",
            "oidc.client_id: this key is missing",
        ),
        (
            "\"${OIDC_SECRET}\"",
            "\"swordfish\"",
            "does not stand in the file itself",
        ),
        ("\"Acme.com\"", "\"@acme.com\"", "stands behind the `@`"),
        (
            "client_id = \"bailiwick\"",
            "client_id = \"${ID}\"",
            "not filled in here",
        ),
    ] {
        let text = with_people(PEOPLE);
        assert!(text.contains(from), "{from}");
        let found = problems(&text.replacen(from, to, 1));
        assert!(
            found.iter().any(|problem| problem.contains(says)),
            "{to}: {found:#?}"
        );
        assert!(
            found.iter().all(|problem| problem.starts_with(':')),
            "{found:#?}"
        );
        assert!(
            !found.iter().any(|problem| problem.contains("swordfish")),
            "{found:#?}"
        );
    }
    let roles = PEOPLE.find("[roles]").unwrap()..PEOPLE.find("[[tokens]]").unwrap();
    let mut without = PEOPLE.to_owned();
    without.replace_range(roles, "");
    let found = problems(&with_people(&without));
    assert!(
        found[0].contains("as long as [roles] does not say who may"),
        "{found:#?}"
    );
    // A group that the identity provider claims need not be listed.
    let claimed = PEOPLE.replace("group:data-owners", "group:others");
    assert!(load(&with_people(&claimed)).is_err());
    assert!(load(&with_people(&(claimed + "groups_claim = \"groups\"\n"))).is_ok());
}

const SIGNALS: &str = r#"
[notify.hook]
kind = "webhook"
url = "https://hooks.acme.example/bailiwick"
secret = "${HOOK_SECRET}"
[notify.chat]
kind = "slack"
url = "${CHAT_URL}"
[notify.siem]
kind = "syslog"
url = "tcp://[::1]:601"
[notify.collector]
kind = "otlp"
url = "http://127.0.0.1:4318"
authorization = "Bearer ${OTLP_TOKEN}"
[[signals]]
name = "first-denied"
when = "denied"
do = ["suspend", "notify:hook"]
[[signals]]
name = "canary"
when = "canary"
after = 2
within = "10m"
tasks = ["triage-*"]
launchers = ["human:*@acme.com"]
targets = ["tickets"]
resources = ["tickets: public.salaries"]
do = ["revoke", "notify:chat"]
"#;

#[test]
fn signals_and_who_is_told_are_read() {
    let config = load(&format!("{GOOD}{SIGNALS}")).unwrap();
    let names: Vec<_> = config.notify.iter().map(|sink| &*sink.name).collect();
    assert_eq!(names, ["chat", "collector", "hook", "siem"]);
    let [first, canary] = &config.signals[..] else {
        panic!("{:?}", config.signals);
    };
    assert!(first.does.suspend && !first.does.revoke);
    assert_eq!((first.after, first.within), (1, None));
    assert_eq!(first.does.notify, ["hook"]);
    assert!(canary.does.revoke);
    assert_eq!((canary.after, canary.within.unwrap().as_secs()), (2, 600));
    // No run gets them.
    let secrets = ["CHAT_URL", "HOOK_SECRET", "OTLP_TOKEN", "TICKETS_PASSWORD"];
    assert_eq!(config.secret_variables(), secrets);
    assert!(config.warnings().is_empty());
}

#[test]
fn what_is_wrong_with_a_rule_is_said_with_its_place_and_what_to_do() {
    let said = |from: &str, to: &str| {
        let text = format!("{GOOD}{SIGNALS}");
        assert!(text.contains(from), "{from}");
        problems(&text.replace(from, to)).join("\n")
    };
    for (from, to, says) in [
        ("notify:hook", "notify:hok", "did you mean `hook`?"),
        ("\"denied\"", "\"denyed\"", "did you mean `denied`?"),
        (
            "tickets: public",
            "tickts: public",
            "did you mean `tickets`?",
        ),
        ("public.salaries", "salaries", "like `public.salaries`"),
        ("\"tickets\"]", "\"ticket\"]", "did you mean `tickets`?"),
        ("\"10m\"", "\"2d\"", "at most a day"),
        ("after = 2", "after = 0", "from 1 to 1000"),
        ("\"suspend\"", "\"suspnd\"", "did you mean `suspend`?"),
        (
            "name = \"canary\"",
            "name = \"first-denied\"",
            "another rule",
        ),
        (
            "kind = \"slack\"",
            "kind = \"slak\"",
            "did you mean `slack`?",
        ),
        ("when = \"denied\"", "when = \"log\"", "can only notify"),
        ("tcp://[::1]:601", "tls://[::1]:601", "`udp://HOST:PORT`"),
        ("https://hooks", "http://hooks", "`https://`"),
        (
            "\"${HOOK_SECRET}\"",
            "\"whsec_x\"",
            "does not stand in the file",
        ),
        (
            "url = \"${CHAT_URL}\"",
            "url = \"${CHAT_URL}\"\nsecret = \"${X}\"",
            "only a sink of kind `webhook`",
        ),
    ] {
        let problems = said(from, to);
        assert!(problems.contains(says), "{from}: {problems}");
        assert!(problems.starts_with(':'), "{problems}");
    }
}
