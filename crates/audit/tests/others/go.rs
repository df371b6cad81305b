//! Runs `verify.go`, which uses Go's own packages.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Verified;

/// Where Debian puts the sources of Go packages.
const DEBIAN: &str = "/usr/share/gocode";

const MISSING: &str = "this test needs Go and the sources of golang.org/x/mod. Run scripts/test, which \
    installs them on Debian and its kin (golang-go, golang-golang-x-mod-dev); elsewhere install \
    Go, and the module's sources as $GOPATH/src/golang.org/x/mod";

/// Checks all of a log, or says what is the first thing broken.
pub(crate) fn verify(vkey: &Path, log: &Path, kept: &[PathBuf]) -> Result<Verified, String> {
    let done = Command::new(program())
        .arg(vkey)
        .arg(log)
        .args(kept)
        .output()
        .expect("the verifier runs");
    let said = String::from_utf8(done.stdout).expect("text");
    let broken = String::from_utf8(done.stderr).expect("text");
    match done.status.code() {
        Some(0) => {
            let count = |name: &str| {
                let found = said.lines().find_map(|line| line.strip_prefix(name));
                let found = found.and_then(|count| count.trim().parse().ok());
                found.unwrap_or_else(|| panic!("no {name} in {said}"))
            };
            Ok(Verified {
                records: count("records"),
                checkpoints: count("checkpoints") as usize,
                pairs: count("pairs") as usize,
            })
        }
        Some(1) => Err(broken),
        other => panic!("the verifier ended with {other:?}: {broken}"),
    }
}

/// The built program. In the mode from before modules, Go takes all from these folders and needs no
/// network.
fn program() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let program = folder.join("verify-go");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/others/verify.go");
        let asked = Command::new("go").args(["env", "GOPATH"]).output();
        let asked = asked.unwrap_or_else(|error| panic!("cannot run go ({error}): {MISSING}"));
        let own = String::from_utf8(asked.stdout).expect("text");
        let built = Command::new("go")
            .args(["build", "-o"])
            .arg(&program)
            .arg(source)
            .env("GO111MODULE", "off")
            .env("GOPATH", format!("{DEBIAN}:{}", own.trim()))
            .env("GOCACHE", folder.join("go"))
            .env("CGO_ENABLED", "0")
            .env_remove("GOFLAGS")
            .output()
            .expect("go runs");
        let said = String::from_utf8_lossy(&built.stderr);
        assert!(built.status.success(), "{said}{MISSING}");
        program
    })
}
