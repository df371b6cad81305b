//! Who may do what: every route by every role, as a table that is looked at when it changes. A route that is not in
//! it fails the test, and so does one that is there no more.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::{ProgramToken, Role};

const METHODS: [&str; 5] = ["get", "post", "put", "delete", "patch"];

/// Every route that the source names, with its methods.
fn routes() -> BTreeSet<(String, String)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    collect(&source, &mut files);
    let mut routes = BTreeSet::new();
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        // Of a file without its tests.
        let text = text.split("#[cfg(test)]").next().unwrap();
        let text: String = text.split_whitespace().collect();
        for call in text.split(".route(").skip(1) {
            let (path, rest) = call.split_once(',').unwrap();
            let path = match path {
                "CALLBACK" => crate::people::CALLBACK,
                path => path.trim_matches('"'),
            };
            assert!(path.starts_with('/'), "{}: {path}", file.display());
            let methods = rest.split(".route(").next().unwrap();
            let found: Vec<_> = METHODS
                .into_iter()
                .filter(|method| {
                    methods.starts_with(&format!("{method}("))
                        || methods.contains(&format!(").{method}("))
                })
                .collect();
            assert!(
                !found.is_empty(),
                "no method of {path} is found in {}",
                file.display()
            );
            for method in found {
                routes.insert((path.to_owned(), method.to_uppercase()));
            }
        }
        // Those that describe themselves: `#[utoipa::path(get, path = "/v1/runs", …)]`.
        for described in text.split("#[utoipa::path(").skip(1) {
            let (method, rest) = described.split_once(',').unwrap();
            let path = rest.split("path=\"").nth(1).unwrap();
            let path = path.split('"').next().unwrap();
            routes.insert((path.to_owned(), method.to_uppercase()));
        }
    }
    routes
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // The witness is another server, which is for everybody.
        if path
            .file_name()
            .is_some_and(|name| name == "tests" || name == "witness.rs")
        {
            continue;
        }
        match path.is_dir() {
            true => collect(&path, files),
            false if path.extension().is_some_and(|extension| extension == "rs") => {
                files.push(path)
            }
            false => {}
        }
    }
}

/// Where such a path leads to nothing that is there, so that asking changes nothing.
fn nowhere(path: &str) -> String {
    path.replace("{run}", "run_00000000000000000000000000")
        .replace("{seq}", "1")
        .replace("{name}", "nobody")
        .replace("{id}", "apr_00000000000000000000000000")
        .replace("{act}", "suspend")
        .replace("{chain}", "run_00000000000000000000000000")
        .replace("{version}", "0")
        .replace("{*path}", "checkpoint")
}

#[tokio::test]
async fn every_route_says_who_may() {
    let secret = |role: Role| format!("{:-<40}", role.as_str());
    let tokens = Role::ALL
        .into_iter()
        .map(|role| ProgramToken::new(role.as_str(), &secret(role), [role].into()).unwrap());
    let mut tokens: Vec<_> = tokens.collect();
    let nothing = "n".repeat(40);
    tokens.push(ProgramToken::new("nothing", &nothing, BTreeSet::new()).unwrap());
    let served = Served::with(PeopleSettings {
        tokens,
        ..PeopleSettings::default()
    })
    .await;
    let mut table = format!(
        "{:<45} {:<8} {:<8} {:<8} {:<8} {:<8} {:<8} {:<8}\n",
        "", "nobody", "no role", "viewer", "operator", "approver", "auditor", "admin"
    );
    for (path, method) in routes() {
        let mut line = format!("{:<45}", format!("{method} {path}"));
        let mut askers = vec![None, Some(nothing.clone())];
        askers.extend(Role::ALL.map(|role| Some(secret(role))));
        for asker in askers {
            let authorization = match &asker {
                Some(token) => format!("Authorization: Bearer {token}\r\n"),
                None => String::new(),
            };
            let origin = format!("Origin: http://{}\r\n", served.network);
            let asked = format!(
                "{method} {} HTTP/1.1\r\nHost: {}\r\n{authorization}{origin}Connection: close\r\n\
                 Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{{}}",
                nowhere(&path),
                served.network
            );
            let (status, text) = served.raw(&asked).await;
            let kind = text
                .split("urn:bailiwick:")
                .nth(1)
                .and_then(|rest| rest.split('"').next());
            let said = match (status, kind) {
                (401, _) => "-",
                // A page has its words for people.
                (403, Some("role") | None) => "-",
                (403, Some("not-local")) => "local",
                (405, _) => panic!("{method} {path} is no route: {text}"),
                (404, Some("not-found")) if text.contains("the API has no") => {
                    panic!("{method} {path} is no route: {text}")
                }
                _ => "yes",
            };
            write!(line, " {said:<8}").unwrap();
        }
        table.push_str(line.trim_end());
        table.push('\n');
    }
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/server/tests/roles.txt");
    if std::env::var_os("BAILIWICK_WRITE_GOLDEN").is_some() {
        fs::write(&golden, &table).unwrap();
    }
    let known = fs::read_to_string(&golden).unwrap();
    assert_eq!(
        known, table,
        "who may do what has changed; if that is meant, run this test with BAILIWICK_WRITE_GOLDEN=1 and look at the \
         difference"
    );
}

#[tokio::test]
async fn payloads_are_for_auditors() {
    let viewer = "v".repeat(40);
    let auditor = "a".repeat(40);
    let served = Served::with(PeopleSettings {
        tokens: vec![
            ProgramToken::new("viewer", &viewer, [Role::Viewer].into()).unwrap(),
            ProgramToken::new("auditor", &auditor, [Role::Auditor].into()).unwrap(),
        ],
        ..PeopleSettings::default()
    })
    .await;
    let run = served
        .client()
        .await
        .open(&request(false))
        .await
        .unwrap()
        .run;
    served
        .running
        .registry
        .end(&run, Ending::Closed)
        .await
        .unwrap();
    let url = format!("http://{}", served.network);
    for (token, sees) in [(&viewer, false), (&auditor, true)] {
        let client = Client::over_network(&url, token).unwrap();
        // What a run is for belongs to it, like its task.
        assert!(client.run(&run).await.unwrap().reason.is_some());
        let trail = client.trail(&run, 0).await.unwrap();
        assert_eq!(trail.records[0].payload.is_some(), sees);
        assert_eq!(trail.records.len(), 2);
        let record = client.record(&run.to_string(), 1).await.unwrap();
        assert_eq!(record.payload.is_some(), sees);
        // What is in a payload cannot be guessed by searching for it, either.
        let search = |words: &str| Search {
            words: Some(words.into()),
            ..Search::default()
        };
        let hits = client.search(&search("reason")).await.unwrap().hits;
        assert_eq!(!hits.is_empty(), sees);
        let hits = client.search(&search("triage")).await.unwrap().hits;
        assert!(!hits.is_empty());
        assert_eq!(client.me().await.unwrap().csrf, None);
    }
}
