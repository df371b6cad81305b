//! Secrets that can be known by their form: the tokens of well-known services, keys, and our own.

use std::ops::Range;

use super::Verdict;
use super::hint::apart;
use crate::text::{before, byte, run_end, slice, stands_alone, starts_at};

/// Tokens with a telling prefix and at least so many characters; all that follow belong to them.
pub(super) const TOKEN: &str = concat!(
    // Our own: the credential of a run and the token of the controls.
    "bw[ck]_[0-9a-f]{16}",
    // GitHub, GitLab, npm, PyPI, Hugging Face.
    "|gh[opsur]_[A-Za-z0-9]{36}|github_pat_[A-Za-z0-9_]{22}",
    "|gl(?:pat|ptt|dt|rt|ft|cbt|soat|imt|agent)-[A-Za-z0-9_-]{20}",
    "|npm_[A-Za-z0-9]{36}|pypi-AgE[A-Za-z0-9_-]{50}|hf_[A-Za-z0-9]{34}",
    // Slack, Stripe, Shopify, SendGrid.
    "|xox[abeoprs]-[A-Za-z0-9-]{10}|xapp-[0-9]-[A-Za-z0-9-]{10}",
    "|[rs]k_(?:live|test)_[A-Za-z0-9]{10}|whsec_[A-Za-z0-9+/]{24}",
    "|shp(?:at|ca|pa|ss)_[A-Fa-f0-9]{32}|SG\\.[A-Za-z0-9_-]{22}\\.[A-Za-z0-9_-]{43}",
    // Google, DigitalOcean, Vault, Databricks, age.
    "|GOCSPX-[A-Za-z0-9_-]{28}|ya29\\.[A-Za-z0-9_-]{20}|do[opr]_v1_[a-f0-9]{64}",
    "|hv[bsr]\\.[A-Za-z0-9_-]{24}|dapi[a-f0-9]{32}|AGE-SECRET-KEY-1[A-Z0-9]{58}",
);

pub(super) const TOKEN_HINT: &str = apart!(concat!(
    "bw[ck]_[0-9a-f]{2}|gh[opsur]_|github_pat_|gl(?:pat|ptt|dt|rt|ft|cbt|soat|imt|agent)-",
    "|npm_|pypi-AgE|hf_|xox[abeoprs]-|xapp-|[rs]k_(?:live|test)_|whsec_|shp(?:at|ca|pa|ss)_",
    "|SG\\.|GOCSPX-|ya29\\.|do[opr]_v1_|hv[bsr]\\.|dapi[a-f0-9]{2}|AGE-SECRET-KEY-1",
));

/// Tokens of an exact length: AWS access key ids, Google API keys, Twilio keys.
pub(super) const EXACT_TOKEN: &str =
    "(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{16}|AIza[A-Za-z0-9_-]{35}|SK[0-9a-f]{32}";

pub(super) const EXACT_TOKEN_HINT: &str =
    apart!("(?:AKIA|ASIA|ABIA|ACCA)[A-Z2-7]{2}|AIza|SK[0-9a-f]{4}");

/// Keys of OpenAI, Anthropic and those who copied their form.
pub(super) const SK_KEY: &str = "sk-[A-Za-z0-9_-]{20}";

pub(super) const SK_KEY_HINT: &str = apart!("sk-[A-Za-z0-9_-]{2}");

/// An AWS secret key has no form of its own: 40 characters after its name, or after a key id.
pub(super) const AWS_SECRET: &str = concat!(
    r"(?:(?i:secret[_ -]?(?:access[_ -]?)?key)|(?:AKIA|ASIA)[A-Z2-7]{16})",
    r#"[\s"'\\:=,;|>]{1,8}[A-Za-z0-9+/]{40}"#,
);

pub(super) const AWS_SECRET_HINT: &str = concat!(
    r#"(?i:secret[_ -]?(?:access[_ -]?)?key)[\s"'\\:=,;|>]"#,
    r"|(?:AKIA|ASIA)[A-Z2-7]{2}",
);

/// The value of an Authorization header.
pub(super) const BEARER: &str =
    r"(?i:bearer[ ]|authorization:?[ ]{1,2}basic[ ])[ ]{0,2}[A-Za-z0-9._~+/=-]{16}";

pub(super) const BEARER_HINT: &str = r"(?i:bearer|basic)[ ]{1,3}[A-Za-z0-9._~+/=-]{2}";

/// A JSON object in base64url, as tokens of RFC 7519 start.
pub(super) const JWT: &str = "eyJ[A-Za-z0-9_-]{8}";

pub(super) const JWT_HINT: &str = apart!("eyJ[A-Za-z0-9_-]{2}");

/// The first line of a private key (RFC 7468, RFC 4880).
pub(super) const PRIVATE_KEY: &str = "-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----";

pub(super) const PRIVATE_KEY_HINT: &str = "PRIVATE KEY(?: BLOCK)?-----";

pub(super) fn judge_token(text: &[u8], matched: Range<usize>) -> Verdict {
    let end = run_end(text, matched.end, is_token_byte);
    if touches_letter(text, matched.start) {
        Verdict::No
    } else {
        Verdict::Found(matched.start..end)
    }
}

pub(super) fn judge_exact_token(text: &[u8], matched: Range<usize>) -> Verdict {
    if stands_alone(text, &matched) {
        Verdict::Found(matched)
    } else {
        Verdict::No
    }
}

pub(super) fn judge_sk_key(text: &[u8], matched: Range<usize>) -> Verdict {
    let range = matched.start..run_end(text, matched.end, is_token_byte);
    if !touches_letter(text, range.start) && is_random(slice(text, range.clone())) {
        Verdict::Found(range)
    } else {
        Verdict::NoneBefore(range.end)
    }
}

pub(super) fn judge_aws_secret(text: &[u8], matched: Range<usize>) -> Verdict {
    let key = matched.end - 40..matched.end;
    let longer = matches!(byte(text, key.end), Some(b'+' | b'/' | b'='));
    if !longer && stands_alone(text, &key) && is_random(slice(text, key.clone())) {
        Verdict::Found(key)
    } else {
        Verdict::No
    }
}

pub(super) fn judge_bearer(text: &[u8], matched: Range<usize>) -> Verdict {
    let start = matched.end - 16;
    let end = run_end(text, matched.end, |byte| {
        is_token_byte(byte) || matches!(byte, b'.' | b'~' | b'+' | b'/' | b'=')
    });
    let value = slice(text, start..end);
    if value.iter().any(u8::is_ascii_digit) && value.iter().any(u8::is_ascii_alphabetic) {
        Verdict::Found(start..end)
    } else {
        Verdict::NoneBefore(end)
    }
}

pub(super) fn judge_jwt(text: &[u8], matched: Range<usize>) -> Verdict {
    let header = run_end(text, matched.start, is_token_byte);
    let mut end = header;
    let mut parts = 1;
    // Three parts if signed, five if encrypted; the last may be empty.
    while parts < 5 && byte(text, end) == Some(b'.') {
        let next = run_end(text, end + 1, is_token_byte);
        if parts == 1 && next < end + 9 {
            break;
        }
        parts += 1;
        end = next;
    }
    if parts > 1 && !touches_letter(text, matched.start) {
        Verdict::Found(matched.start..end)
    } else {
        Verdict::NoneBefore(header)
    }
}

/// Takes everything up to the last line, or as far as it may be part of a key that was cut off.
pub(super) fn judge_private_key(text: &[u8], matched: Range<usize>) -> Verdict {
    const FENCE: &[u8] = b"-----";
    let mut end = matched.end;
    while let Some(next) = byte(text, end) {
        if starts_at(text, end, FENCE) {
            if starts_at(text, end + FENCE.len(), b"END ") {
                let name = end + FENCE.len();
                let name_end = run_end(text, name, |byte| {
                    byte.is_ascii_alphanumeric() || byte == b' '
                });
                end = run_end(text, name_end, |byte| byte == b'-');
            }
            break;
        }
        // Base64, line ends, and the headers of old formats.
        if !(next.is_ascii_alphanumeric() || b"+/=-:,. \r\n\t".contains(&next)) {
            break;
        }
        end += 1;
    }
    Verdict::Found(matched.start..end)
}

fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-')
}

fn touches_letter(text: &[u8], start: usize) -> bool {
    before(text, start).is_some_and(|byte| byte.is_ascii_alphanumeric())
}

/// Whether it has what words do not have together: both cases and a digit.
fn is_random(text: &[u8]) -> bool {
    text.iter().any(u8::is_ascii_digit)
        && text.iter().any(u8::is_ascii_lowercase)
        && text.iter().any(u8::is_ascii_uppercase)
}
