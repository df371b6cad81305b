use std::io::{self, Read};

use crate::limits;

/// What a signer answers. The first line says which it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reply {
    /// The verifier key that was asked for.
    Key(String),
    /// The signature line.
    Signed(String),
    /// Not signed: the proof has to begin at this size, that of the last checkpoint signed.
    Size(u64),
    /// Not signed, and never will be.
    Refused(String),
    /// Not signed now.
    Failed(String),
}

/// In front of a log's name: asks for its verifier key.
pub(super) const KEY_OF: &str = "key ";

impl Reply {
    pub(super) fn encode(&self) -> String {
        let (word, rest) = match self {
            Self::Key(vkey) => ("key", vkey.clone()),
            Self::Signed(line) => ("signed", line.clone()),
            Self::Size(size) => ("size", size.to_string()),
            Self::Refused(why) => ("refused", why.clone()),
            Self::Failed(why) => ("failed", why.clone()),
        };
        // One line each: what is said comes from outside, too.
        let rest = rest.trim_end_matches('\n').replace(['\n', '\r'], " ");
        format!("{word}\n{rest}\n")
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.strip_suffix('\n')?.split_once('\n')?;
        if rest.contains('\n') {
            return None;
        }
        let rest = rest.to_owned();
        Some(match word {
            "key" => Self::Key(rest),
            "signed" => Self::Signed(rest + "\n"),
            "size" => Self::Size(crate::verify::checkpoint::decimal(&rest)?),
            "refused" => Self::Refused(rest),
            "failed" => Self::Failed(rest),
            _ => return None,
        })
    }
}

/// Everything the other side says until it has said all, within the limit.
pub(super) fn read_all(stream: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = limits::SIGNER_MESSAGE;
    stream.take(limit as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > limit {
        let reason = format!("it said more than {limit} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, reason));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_read_as_they_are_written() {
        for (reply, text) in [
            (Reply::Key("a+b+c".to_owned()), "key\na+b+c\n"),
            (
                Reply::Signed("\u{2014} a b\n".to_owned()),
                "signed\n\u{2014} a b\n",
            ),
            (Reply::Size(7), "size\n7\n"),
            (Reply::Refused("no".to_owned()), "refused\nno\n"),
            (Reply::Failed("later".to_owned()), "failed\nlater\n"),
        ] {
            assert_eq!(reply.encode(), text);
            assert_eq!(Reply::parse(text), Some(reply));
        }
        let lines = Reply::Refused("one\ntwo".to_owned()).encode();
        assert_eq!(lines, "refused\none two\n");
        for wrong in [
            "",
            "size\n07\n",
            "size\n7",
            "signed\na\nb\n",
            "yes\n\n",
            "key\n",
        ] {
            assert_eq!(Reply::parse(wrong), None, "{wrong:?}");
        }
    }
}
