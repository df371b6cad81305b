//! Exchanges with more than one request to their target.

use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::house::{House, target, until};
use super::streams::{EVENTS, event};
use crate::target::Target;
use crate::upstream::Upstream;

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[read]]
target   = "desk"
tools    = ["list_tickets"]
unpinned = true
"#;

/// The next request, up to this; on a connection of its own.
async fn next(listener: &TcpListener, text: &str) -> (TcpStream, String) {
    let (mut stream, _) = listener.accept().await.unwrap();
    let said = until(&mut stream, text).await;
    (stream, said)
}

async fn respond(stream: &mut TcpStream, status: &str, content: &str) {
    let response = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{content}",
        content.len()
    );
    stream.write_all(response.as_bytes()).await.unwrap();
}

/// A server of MCP by hand, and a run that may call its tool.
async fn desk() -> (TcpListener, House) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let protocol = bailiwick_wire::PROTOCOLS
        .into_iter()
        .find(|protocol| protocol.name == "mcp")
        .unwrap();
    let desk = Target {
        protocol,
        endpoint: (protocol.endpoint)(&format!("http://127.0.0.1:{port}")).unwrap(),
        ..target("desk", Upstream::default())
    };
    let house = House::of(TASK, vec![desk]).await;
    (listener, house)
}

/// The id of the request that a server was sent.
fn id_of(said: &str) -> &str {
    let id = said.split(r#""id":""#).nth(1).unwrap();
    id.split('"').next().unwrap()
}

/// Calls the tool, and tells the gateway what the tools are, which it asks first; the agent's connection, that
/// on which the call came, and the call's id there.
async fn call_of(house: &House, listener: &TcpListener) -> (TcpStream, TcpStream, String) {
    let what = r#""method":"tools/call","params":{"name":"list_tickets"}}"#;
    let call = format!(r#"{{"jsonrpc":"2.0","id":1,{what}"#);
    let mut agent = house.connect().await;
    let request = format!(
        "POST /desk HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {}\r\n\
         content-type: application/json\r\nmcp-protocol-version: 2025-11-25\r\n\
         content-length: {}\r\n\r\n{call}",
        house.secret.reveal(),
        call.len()
    );
    agent.write_all(request.as_bytes()).await.unwrap();

    // First what the tools are.
    let (mut stream, said) = next(listener, "}}}").await;
    assert!(said.contains(r#""method":"tools/list""#), "{said}");
    let id = id_of(&said);
    let tools = r#"{"tools":[{"name":"list_tickets","inputSchema":{"type":"object"}}]}"#;
    let answer = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{tools}}}"#);
    respond(&mut stream, "200 OK", &answer).await;
    let (calling, said) = next(listener, what).await;
    assert!(!said.contains("bwk_"), "{said}");
    let id = id_of(&said).to_owned();
    (agent, calling, id)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_may_ask_first_and_say_something_meanwhile() {
    let (listener, house) = desk().await;
    let (mut agent, mut calling, id) = call_of(&house, &listener).await;

    // While it is answered, that the client does not do what is asked of it.
    calling.write_all(EVENTS).await.unwrap();
    let asks = r#"{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{}}"#;
    calling.write_all(event(asks).as_bytes()).await.unwrap();
    let (mut stream, said) = next(&listener, "support this").await;
    assert!(said.contains(r#""id":9,"error""#), "{said}");
    respond(&mut stream, "202 Accepted", "").await;

    let content = r#"{"content":[{"type":"text","text":"all of them"}]}"#;
    let result = format!(r#"{{"jsonrpc":"2.0","id":"{id}","result":{content}}}"#);
    calling.write_all(event(&result).as_bytes()).await.unwrap();
    let said = until(&mut agent, "all of them").await;
    assert!(said.starts_with("HTTP/1.1 200 OK\r\n"), "{said}");
    assert!(!said.contains("elicitation"), "{said}");

    // Opened, decided, decided, finished.
    let records = house.recorded(4).await;
    assert!(records.contains("list_tickets"), "{records}");
    assert!(records.contains("elicitation"), "{records}");
    assert_eq!(house.tally.denied(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_and_asks_is_read_no_faster_than_that_is_recorded() {
    let (listener, house) = desk().await;
    let (agent, mut calling, _) = call_of(&house, &listener).await;
    calling.write_all(EVENTS).await.unwrap();
    let asks = r#"{"jsonrpc":"2.0","id":9,"method":"elicitation/create","params":{}}"#;
    let many = event(&[asks; 1000].join("\n\ndata: "));
    let mut written = 0;
    let flood = async {
        while calling.write_all(many.as_bytes()).await.is_ok() {
            written += many.len();
        }
    };
    let _ = timeout(Duration::from_secs(3), flood).await;
    // More than the buffers of two sockets can only be in the gateway.
    assert!(written < 24 << 20, "{written}");
    assert!(house.tally.denied() > 1);
    drop(agent);
}
