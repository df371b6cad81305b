//! What is made of a gateway that is none, or that somebody has taken over.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use bailiwick_run::Confinement;

use super::*;
use crate::testing::{House, opening};

/// Answers one request with this.
fn answering(answer: Vec<u8>) -> Client {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut asked = [0; 4096];
        let _ = stream.read(&mut asked).unwrap();
        stream.write_all(b"HTTP/1.1 201 Created\r\n\r\n").unwrap();
        // Whoever asked may have heard enough.
        drop(stream.write_all(&answer));
    });
    Client::over_network(&url, "token").unwrap()
}

async fn opened() -> OpenedRun {
    let house = House::new();
    let running = house.start().await;
    let opened = running.registry.open_run(opening("sweep")).await.unwrap();
    opened.into()
}

fn request() -> OpenRequest {
    OpenRequest {
        task: "sweep".into(),
        ttl: None,
        reason: None,
        confinement: Confinement::Elsewhere,
        attach: false,
    }
}

#[tokio::test]
async fn no_variable_says_more_to_a_shell_than_its_value() {
    let mut honest = opened().await;
    honest.env.insert("_URL2".into(), "'; echo".into());
    let answer = serde_json::to_vec(&honest).unwrap();
    assert!(answering(answer).open(&request()).await.is_ok());
    for name in ["A=1; echo B", "2A", "", "A B", "A-B", "A\n", "É"] {
        let mut hostile = honest.clone();
        hostile.env.insert(name.into(), "1".into());
        let answer = serde_json::to_vec(&hostile).unwrap();
        let error = answering(answer).open(&request()).await.unwrap_err();
        assert!(
            matches!(error, ClientError::NotUnderstood { .. }),
            "{name}: {error}"
        );
    }
}

#[tokio::test]
async fn a_line_without_an_end_is_not_kept() {
    let run = opened().await.run;
    let client = answering(vec![b'x'; 16 * 1024 * 1024]);
    let mut attached = client.attach(&run).await.unwrap();
    let error = attached.change().await.unwrap_err();
    assert!(
        matches!(error, ClientError::NotUnderstood { .. }),
        "{error}"
    );
}
