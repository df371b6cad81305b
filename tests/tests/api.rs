//! The API is what its own description says: Schemathesis makes requests of all kinds out of that, and looks
//! at what comes back.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;

use bailiwick_tests::{TRIAGE, World, finish, schemathesis, task};

/// Lets whoever connects to a port speak with a Unix socket.
fn lead(to: PathBuf) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    thread::spawn(move || {
        for agent in listener.incoming().map_while(Result::ok) {
            let Ok(there) = UnixStream::connect(&to) else {
                continue;
            };
            thread::spawn(move || pass(agent, there));
        }
    });
    address
}

fn pass(here: TcpStream, there: UnixStream) -> io::Result<()> {
    let (mut from_here, mut to_there) = (here.try_clone()?, there.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_here, &mut to_there);
        let _ = to_there.shutdown(std::net::Shutdown::Write);
    });
    let (mut from_there, mut to_here) = (there, here);
    let _ = io::copy(&mut from_there, &mut to_here);
    to_here.shutdown(std::net::Shutdown::Both)
}

#[test]
fn the_api_does_what_it_says_whatever_it_is_asked() {
    let world = World::builder()
        .quiet()
        .task(task("triage", TRIAGE))
        .start();
    let run = world.open("triage");
    let token = std::fs::read_to_string(world.data().join("control.token")).expect("the token");
    let description = world.work().join("openapi.json");
    let api = world.bailiwick(&["api"]);
    std::fs::write(&description, api.ok()).expect("the description");
    let address = lead(world.data().join("control.sock"));
    let mut fuzz = schemathesis();
    fuzz.arg("run")
        .arg(&description)
        .args(["--url", &format!("http://{address}")])
        .args([
            "--header",
            &format!("Authorization: Bearer {}", token.trim()),
        ])
        // It lasts as long as its run does.
        .args(["--exclude-operation-id", "attach_run"])
        .arg("--no-color")
        .current_dir(world.work());
    let found = finish(&mut fuzz);
    assert_eq!(found.code(), 0, "{}\n{}", found.stdout, found.stderr);
    // Nothing of that was to be its end.
    let health = world.bailiwick(&["runs"]);
    assert!(health.ok().contains(&run.id) || !health.ok().is_empty());
    world.bailiwick(&["verify"]).ok();
    let said = world.said();
    assert!(!said.contains("panicked"), "{said}");
}
