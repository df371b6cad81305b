//! Signed notes (C2SP signed-note).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::key::{CosignerKey, LogKey, is_name};
use crate::limits;

/// A text and the signature lines below it, in form. What it says counts only once a known key has
/// signed it.
#[derive(Clone, Debug)]
pub(crate) struct Note<'a> {
    text: &'a str,
    lines: Vec<Line<'a>>,
}

/// A signature line.
#[derive(Clone, Debug)]
struct Line<'a> {
    /// All of it, without its end.
    whole: &'a str,
    name: &'a str,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// Why bytes are not a note, or not one to go by.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotANote {
    #[error("it is longer than {} bytes", limits::NOTE)]
    TooLong,
    #[error("it is not UTF-8")]
    NotUtf8,
    #[error("it has control characters")]
    Control,
    #[error("it has no signatures")]
    Unsigned,
    #[error("it has more than {} signatures", limits::SIGNATURES)]
    Signatures,
    #[error("its last line has no end")]
    NoEnd,
    #[error("a signature line is malformed")]
    Line,
    #[error("a signature is not base64")]
    Base64,
    #[error("a signature is too short")]
    Short,
    /// A note with a signature that a known key has not made is refused as a whole.
    #[error("the signature by {0} does not fit its text")]
    Forged(String),
    #[error("the key of {0} has not signed it")]
    NotSignedBy(String),
}

impl<'a> Note<'a> {
    /// Reads a note.
    pub(crate) fn parse(bytes: &'a [u8]) -> Result<Self, NotANote> {
        if bytes.len() > limits::NOTE {
            return Err(NotANote::TooLong);
        }
        let note = std::str::from_utf8(bytes).map_err(|_| NotANote::NotUtf8)?;
        if note.bytes().any(|byte| byte < 0x20 && byte != b'\n') {
            return Err(NotANote::Control);
        }
        let split = note.rfind("\n\n").ok_or(NotANote::Unsigned)?;
        let (text, signatures) = note.split_at_checked(split + 1).ok_or(NotANote::Unsigned)?;
        let signatures = signatures.strip_prefix('\n').unwrap_or(signatures);
        if signatures.is_empty() {
            return Err(NotANote::Unsigned);
        }
        let signatures = signatures.strip_suffix('\n').ok_or(NotANote::NoEnd)?;
        if signatures.split('\n').count() > limits::SIGNATURES {
            return Err(NotANote::Signatures);
        }
        let lines = signatures.split('\n').map(Line::parse);
        Ok(Self {
            text,
            lines: lines.collect::<Result<_, _>>()?,
        })
    }

    /// What is signed, with the newline at its end.
    pub(crate) fn text(&self) -> &'a str {
        self.text
    }

    /// Whether this log has signed it. A signature that says it is the log's and is not is an error.
    pub(crate) fn is_signed_by(&self, key: &LogKey) -> Result<bool, NotANote> {
        let mut signed = false;
        for line in self.lines.iter().filter(|line| key.is(line.name, line.id)) {
            if !key.has_signed(self.text, &line.signature) {
                return Err(NotANote::Forged(key.name().to_owned()));
            }
            signed = true;
        }
        Ok(signed)
    }

    /// Whether there is a signature line of this key's name and id, right or wrong.
    pub(super) fn names(&self, key: &LogKey) -> bool {
        self.lines.iter().any(|line| key.is(line.name, line.id))
    }

    /// When this witness cosigned it, in seconds since the Unix epoch; the earliest, if it did so
    /// more than once. A cosignature that says it is the witness's and is not is an error.
    pub(crate) fn cosigned_by(&self, key: &CosignerKey) -> Result<Option<u64>, NotANote> {
        let mut earliest: Option<u64> = None;
        for line in self.lines.iter().filter(|line| key.is(line.name, line.id)) {
            let time = key
                .cosigned_at(self.text, &line.signature)
                .ok_or_else(|| NotANote::Forged(key.name().to_owned()))?;
            earliest = Some(earliest.map_or(time, |earliest| earliest.min(time)));
        }
        Ok(earliest)
    }

    /// The signature lines that name this log's key, each without its end. Whether they are its is
    /// for [`Note::is_signed_by`] to say.
    pub(crate) fn lines_of_log(&self, key: &LogKey) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter();
        lines.filter_map(|line| key.is(line.name, line.id).then_some(line.whole))
    }

    /// The signature lines that name this witness's key, each without its end. Whether they are its
    /// is for [`Note::cosigned_by`] to say.
    pub(crate) fn lines_of(&self, key: &CosignerKey) -> impl Iterator<Item = &'a str> {
        let lines = self.lines.iter();
        lines.filter_map(|line| key.is(line.name, line.id).then_some(line.whole))
    }
}

impl<'a> Line<'a> {
    fn parse(whole: &'a str) -> Result<Self, NotANote> {
        let (name, signature) = whole
            .strip_prefix("\u{2014} ")
            .and_then(|line| line.split_once(' '))
            .filter(|(name, _)| is_name(name))
            .ok_or(NotANote::Line)?;
        let signature = BASE64.decode(signature).map_err(|_| NotANote::Base64)?;
        let (id, signature) = signature
            .split_first_chunk::<4>()
            .filter(|(_, signature)| !signature.is_empty())
            .ok_or(NotANote::Short)?;
        Ok(Self {
            whole,
            name,
            id: *id,
            signature: signature.to_vec(),
        })
    }
}

#[cfg(test)]
mod tests {
    use ed25519_dalek::{Signer as _, SigningKey};

    use super::super::key::tests::{VKEY, vkey};
    use super::*;

    const NOTE: &str = "This is an example message.\n\n\u{2014} example.com/foo \
        Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    /// The checkpoint of tlog-cosignature, whose witness's key is not published.
    const COSIGNED: &str = "example.com/behind-the-sofa\n20852163\n\
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n\n\
        \u{2014} example.com/behind-the-sofa \
        Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n\
        \u{2014} witness.example.com/w1 \
        jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";

    fn open(note: &[u8]) -> Result<&str, NotANote> {
        let key = LogKey::parse(VKEY).unwrap();
        let note = Note::parse(note)?;
        match note.is_signed_by(&key)? {
            true => Ok(note.text()),
            false => Err(NotANote::NotSignedBy(key.name().to_owned())),
        }
    }

    #[test]
    fn opens_the_note_of_the_specification_and_no_other() {
        assert_eq!(open(NOTE.as_bytes()), Ok("This is an example message.\n"));
        for position in 0..NOTE.len() {
            for bit in 0..8 {
                let mut altered = NOTE.as_bytes().to_vec();
                altered[position] ^= 1 << bit;
                assert!(open(&altered).is_err(), "{position}");
            }
        }
        // Lines by keys that are not known are passed over, also by the same name.
        let more = format!("{NOTE}\u{2014} other.example/w AAAAAAAA\n");
        assert!(open(more.as_bytes()).is_ok());
        let more = format!("{NOTE}\u{2014} example.com/foo AAAAAAAA\n");
        assert!(open(more.as_bytes()).is_ok());
        // One by a known key must be right, even beside one that is.
        let forged = format!("{NOTE}\u{2014} example.com/foo Uw2QOgAAAA==\n");
        assert_eq!(
            open(forged.as_bytes()),
            Err(NotANote::Forged("example.com/foo".to_owned()))
        );
    }

    #[test]
    fn reads_the_checkpoint_of_the_specification() {
        let note = Note::parse(COSIGNED.as_bytes()).unwrap();
        let names: Vec<&str> = note.lines.iter().map(|line| line.name).collect();
        assert_eq!(
            names,
            ["example.com/behind-the-sofa", "witness.example.com/w1"]
        );
        assert_eq!(note.lines[1].signature.len(), 8 + 64);
        assert_eq!(note.lines[1].signature[..8], 1_679_315_147u64.to_be_bytes());
    }

    #[test]
    fn only_lines_in_form_make_a_note() {
        let text = "text\n\n";
        let line = "\u{2014} w.example AAAAAAA=\n";
        assert!(Note::parse(format!("{text}{line}").as_bytes()).is_ok());
        for (wrong, why) in [
            (text.to_owned(), NotANote::Unsigned),
            ("text\n".to_owned(), NotANote::Unsigned),
            (String::new(), NotANote::Unsigned),
            (format!("{text}{}", line.trim_end()), NotANote::NoEnd),
            (format!("{text}- w.example AAAAAAA=\n"), NotANote::Line),
            (format!("{text}\u{2014} w+x AAAAAAA=\n"), NotANote::Line),
            (format!("{text}\u{2014}  AAAAAAA=\n"), NotANote::Line),
            (format!("{text}\u{2014} w.example\n"), NotANote::Line),
            (format!("{text}{line}more\n"), NotANote::Line),
            (format!("{text}\u{2014} w AAAAAA=\n"), NotANote::Base64),
            (format!("{text}\u{2014} w AAAAAAB=\n"), NotANote::Base64),
            (format!("{text}\u{2014} w AAAAAAA= \n"), NotANote::Base64),
            (format!("{text}\u{2014} w AAAAAA==\n"), NotANote::Short),
            (format!("te\rxt\n\n{line}"), NotANote::Control),
        ] {
            assert_eq!(Note::parse(wrong.as_bytes()).unwrap_err(), why, "{wrong:?}");
        }
        let lines = |count| format!("{text}{}", line.repeat(count));
        assert!(Note::parse(lines(16).as_bytes()).is_ok());
        assert!(Note::parse(lines(limits::SIGNATURES).as_bytes()).is_ok());
        assert_eq!(
            Note::parse(lines(limits::SIGNATURES + 1).as_bytes()).unwrap_err(),
            NotANote::Signatures
        );
        let long = format!("{}{line}", "x\n".repeat(limits::NOTE));
        assert_eq!(Note::parse(long.as_bytes()).unwrap_err(), NotANote::TooLong);
    }

    #[test]
    fn a_cosignature_counts_for_its_text_time_and_key() {
        let signing = SigningKey::from_bytes(&[3; 32]);
        let public = *signing.verifying_key().as_bytes();
        let key = vkey("w.example", 4, &public);
        let witness = CosignerKey::parse(&key).unwrap();
        let id = u32::from_str_radix(key.split('+').nth(1).unwrap(), 16).unwrap();
        let text = "example.com/behind-the-sofa\n20852163\n\
                    CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";
        let line = |time: u64, signed: String| {
            let signature = signing.sign(signed.as_bytes()).to_bytes();
            let bytes = [&id.to_be_bytes()[..], &time.to_be_bytes(), &signature].concat();
            format!("\u{2014} w.example {}\n", BASE64.encode(bytes))
        };
        let cosigned = |time: u64| line(time, format!("cosignature/v1\ntime {time}\n{text}"));
        let judge = |lines: String| {
            let note = format!("{text}\n{lines}");
            Note::parse(note.as_bytes()).unwrap().cosigned_by(&witness)
        };
        assert_eq!(judge(cosigned(1_679_315_147)), Ok(Some(1_679_315_147)));
        assert_eq!(judge(cosigned(20) + &cosigned(10)), Ok(Some(10)));
        let forged = Err(NotANote::Forged("w.example".to_owned()));
        for wrong in [
            line(11, format!("cosignature/v1\ntime 10\n{text}")),
            line(10, format!("cosignature/v2\ntime 10\n{text}")),
            line(10, text.to_owned()),
            cosigned(10) + &line(9, text.to_owned()),
            cosigned(1 << 63),
        ] {
            assert_eq!(judge(wrong), forged);
        }
        let other = vkey("x.example", 4, &public);
        let other = CosignerKey::parse(&other).unwrap();
        let note = format!("{text}\n{}", cosigned(10));
        let note = Note::parse(note.as_bytes()).unwrap();
        assert_eq!(note.cosigned_by(&other), Ok(None));
        assert_eq!(note.lines_of(&witness).count(), 1);
    }
}
