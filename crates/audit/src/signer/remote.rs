use std::io::{self, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use super::protocol::{KEY_OF, Reply, read_all};
use crate::limits;
use crate::note::{Checkpoint, Public};
use crate::prove::Prover;
use crate::sign::{Sign, SignError};
use crate::witness::submission::Submission;

/// Why the signer's key is not known.
#[derive(Debug)]
pub(crate) enum Unknown {
    /// Nobody answers; it may be there later.
    Unavailable(String),
    /// It answers, but is no signer of this log.
    Refused(String),
}

/// The signer of a log, in another process.
pub(crate) struct Remote {
    socket: PathBuf,
    public: Public,
    /// How many records the last checkpoint covers that it signed, as far as is known here.
    signed: u64,
}

impl Remote {
    /// The signer at this socket, which has this key and signed a checkpoint of so many records last.
    pub(crate) fn new(socket: PathBuf, public: Public, signed: u64) -> Self {
        Self {
            socket,
            public,
            signed,
        }
    }

    /// Asks a signer for its key for a log.
    pub(crate) fn ask_key(socket: &Path, origin: &str) -> Result<Public, Unknown> {
        let answer = ask(socket, &format!("{KEY_OF}{origin}\n"));
        match answer.map_err(|error| Unknown::Unavailable(error.to_string()))? {
            Reply::Key(vkey) => Public::parse(&vkey)
                .filter(|public| public.name() == origin)
                .ok_or_else(|| Unknown::Refused(format!("`{vkey}` is not the key of this log"))),
            Reply::Refused(why) => Err(Unknown::Refused(why)),
            Reply::Failed(why) => Err(Unknown::Unavailable(why)),
            other => Err(Unknown::Refused(not_understood(&other))),
        }
    }

    fn refused(&self, reason: String) -> SignError {
        let place = self.socket.display().to_string();
        SignError::Refused { place, reason }
    }

    fn unavailable(&self, reason: String) -> SignError {
        let place = self.socket.display().to_string();
        SignError::Unavailable { place, reason }
    }
}

impl Sign for Remote {
    fn sign(&mut self, checkpoint: &Checkpoint, tree: &mut Prover) -> Result<String, SignError> {
        let text = checkpoint.text(self.public.name());
        // A second time, if the signer's memory is not what is thought of it here.
        for _ in 0..2 {
            let proof = tree.consistency(self.signed)?;
            let request = Submission::encode(self.signed, &proof, &text);
            let answer = ask(&self.socket, &request);
            match answer.map_err(|error| self.unavailable(error.to_string()))? {
                Reply::Signed(line) => {
                    let note = format!("{text}\n{line}");
                    // What is published has to be by the key that everybody knows.
                    if self.public.open(note.as_bytes()) != Ok(*checkpoint) {
                        let reason = "it signed with another key than this log's".to_owned();
                        return Err(self.refused(reason));
                    }
                    self.signed = checkpoint.size;
                    return Ok(note);
                }
                Reply::Size(size) if size > checkpoint.size => {
                    let ours = checkpoint.size;
                    return Err(self.refused(format!(
                        "it has signed a tree of {size} records, and there are {ours} here: this \
                         log was rolled back"
                    )));
                }
                Reply::Size(size) => self.signed = size,
                Reply::Refused(why) => return Err(self.refused(why)),
                Reply::Failed(why) => return Err(self.unavailable(why)),
                other => return Err(self.refused(not_understood(&other))),
            }
        }
        Err(self.unavailable("somebody else has it sign for this log at the same time".to_owned()))
    }
}

fn not_understood(reply: &Reply) -> String {
    format!(
        "it answered {:?}, which is no answer to that",
        reply.encode()
    )
}

/// One request, and its answer.
fn ask(socket: &Path, request: &str) -> io::Result<Reply> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(limits::SIGNER_TIME))?;
    stream.set_write_timeout(Some(limits::SIGNER_TIME))?;
    stream.write_all(request.as_bytes())?;
    stream.shutdown(Shutdown::Write)?;
    let answer = read_all(&mut stream)?;
    let reply = std::str::from_utf8(&answer).ok().and_then(Reply::parse);
    reply.ok_or_else(|| {
        let reason = "what it answered is not understood, or is nothing";
        io::Error::new(io::ErrorKind::InvalidData, reason)
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::merkle;
    use crate::note::Signer;

    /// Asks a signer that gives these answers, one after the other, to sign the empty tree.
    fn told(answers: &[&str]) -> (Result<String, SignError>, Vec<String>) {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("socket");
        let listener = UnixListener::bind(&socket).unwrap();
        let public = key(1).public().clone();
        let mut remote = Remote::new(socket, public, 0);
        let mut tree = Prover::new(dir.path(), 0);
        std::thread::scope(|scope| {
            let requests = scope.spawn(|| {
                let answer = |answer: &&str| {
                    let (mut stream, _) = listener.accept().unwrap();
                    let request = read_all(&mut stream).unwrap();
                    stream.write_all(answer.as_bytes()).unwrap();
                    String::from_utf8(request).unwrap()
                };
                answers.iter().map(answer).collect()
            });
            let signed = remote.sign(&empty(), &mut tree);
            (signed, requests.join().unwrap())
        })
    }

    fn key(seed: u8) -> Signer {
        Signer::new("a.example/log".to_owned(), &[seed; 32])
    }

    fn empty() -> Checkpoint {
        let root = merkle::empty();
        Checkpoint { size: 0, root }
    }

    #[test]
    fn only_a_signature_by_the_known_key_over_what_was_asked_is_taken() {
        let text = empty().text("a.example/log");
        let signed = |seed: u8, text: &str| Reply::Signed(key(seed).signature(text)).encode();
        let (note, requests) = told(&[&signed(1, &text)]);
        assert_eq!(note.unwrap(), key(1).sign_text(&text));
        assert_eq!(requests, [format!("old 0\n\n{text}")]);
        for wrong in [
            signed(2, &text),
            signed(1, "another\n"),
            "key\na+b+c\n".to_owned(),
        ] {
            assert!(
                matches!(told(&[&wrong]).0, Err(SignError::Refused { .. })),
                "{wrong}"
            );
        }
        let rolled_back = told(&["size\n7\n"]).0;
        assert!(
            matches!(rolled_back, Err(SignError::Refused { reason, .. }) if reason.contains("rolled back"))
        );
        assert!(matches!(
            told(&["refused\nno\n"]).0,
            Err(SignError::Refused { .. })
        ));
        let long = "x".repeat(limits::SIGNER_MESSAGE + 1);
        for later in ["", "nonsense", "failed\nfull\n", &long] {
            assert!(matches!(
                told(&[later]).0,
                Err(SignError::Unavailable { .. })
            ));
        }
    }
}
