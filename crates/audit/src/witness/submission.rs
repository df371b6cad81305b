use crate::limits;
use crate::merkle::Hash;
use crate::verify::checkpoint::{decimal, hash};

/// What is asked of a witness (`add-checkpoint` in C2SP tlog-witness): to sign a checkpoint that grew
/// from one of `old` records.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Submission<'a> {
    pub(crate) old: u64,
    pub(crate) proof: Vec<Hash>,
    /// The checkpoint, as it was sent.
    pub(crate) checkpoint: &'a [u8],
}

impl<'a> Submission<'a> {
    /// Reads a request's body: the old size, the proof, an empty line, the checkpoint.
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, &'static str> {
        let blank = body.windows(2).position(|pair| pair == b"\n\n");
        let (head, rest) = blank
            .and_then(|at| body.split_at_checked(at))
            .ok_or("no empty line is in it")?;
        let checkpoint = rest.strip_prefix(b"\n\n").unwrap_or(rest);
        let head = std::str::from_utf8(head).map_err(|_| "it is not text")?;
        let mut lines = head.split('\n');
        let old = lines
            .next()
            .and_then(|line| line.strip_prefix("old "))
            .and_then(decimal)
            .ok_or("its first line is not `old` and a size")?;
        let mut proof = Vec::new();
        for line in lines {
            if proof.len() == limits::PROOF_LINES {
                return Err("its proof has more than 63 lines");
            }
            proof.push(hash(line).ok_or("a line of its proof is not a hash in base64")?);
        }
        Ok(Self {
            old,
            proof,
            checkpoint,
        })
    }

    /// The request's body.
    pub(crate) fn encode(old: u64, proof: &[Hash], checkpoint: &str) -> String {
        use base64::Engine as _;
        use base64::engine::general_purpose::STANDARD as BASE64;
        let mut body = format!("old {old}\n");
        for hash in proof {
            body.push_str(&BASE64.encode(hash));
            body.push('\n');
        }
        body.push('\n');
        body.push_str(checkpoint);
        body
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, but for its checkpoint.
    const HEAD: &str = "old 20852014\n\
        PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\
        jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=\n\
        5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=\n\
        /6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=\n\n";

    #[test]
    fn the_example_of_the_specification_is_read_and_written() {
        let body = format!("{HEAD}a\n\nb\n");
        let read = Submission::parse(body.as_bytes()).unwrap();
        assert_eq!((read.old, read.proof.len()), (20_852_014, 4));
        assert_eq!(read.checkpoint, b"a\n\nb\n");
        assert_eq!(Submission::encode(read.old, &read.proof, "a\n\nb\n"), body);
    }

    #[test]
    fn what_is_not_a_request_is_refused() {
        let hash = "PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n";
        let lines = |count: usize| format!("old 1\n{}\nx", hash.repeat(count));
        assert!(Submission::parse(lines(63).as_bytes()).is_ok());
        for wrong in [
            "",
            "\n\n",
            "old 1\n",
            "old\n\nx",
            "old 01\n\nx",
            "old -1\n\nx",
            "old +1\n\nx",
            "old 1 \n\nx",
            "old  1\n\nx",
            "old 18446744073709551616\n\nx",
            "Old 1\n\nx",
            "old 1\nnot base64\n\nx",
            "old 1\nAAAA\n\nx",
            &lines(64),
            &lines(1).replace("Q7", "Q\r"),
            &lines(1).replace("=\n", "\n"),
        ] {
            let read = Submission::parse(wrong.as_bytes());
            let same = wrong == lines(1);
            assert!(read.is_err() || same, "{wrong:?}");
        }
    }
}
