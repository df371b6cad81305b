//! The published log (C2SP tlog-tiles): files as they are.

use std::io::{self, Read};
use std::path::Path;

use axum::http::StatusCode;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};

use super::problem::Refusal;

/// The largest file of a log: a full bundle of 256 records of 8 KiB, each with its length.
const FILE_BYTES_MAX: u64 = 256 * (8 * 1024 + 2);

/// One file of the log, public or for whoever has the token. Waits for the disk.
pub(super) fn file(log: &Path, name: &str, public: bool) -> Result<Response, Refusal> {
    if !is_name(name) {
        return Err(Refusal::not_found(
            "the log has `checkpoint`, `witnessed`, `tile/LEVEL/NUMBER` and `tile/entries/NUMBER`"
                .to_owned(),
        ));
    }
    let unreadable = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Refusal::not_found(format!("the log has no `{name}` yet")),
        _ => Refusal::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "record",
            format!("`{name}` of the log cannot be read: {error}"),
        ),
    };
    let mut bytes = Vec::new();
    std::fs::File::open(log.join(name))
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    let note = matches!(name, "checkpoint" | "witnessed");
    let kind = match note {
        true => "text/plain; charset=utf-8",
        false => "application/octet-stream",
    };
    // A tile never changes, a checkpoint about once a second. What is for whoever has the token is not
    // for shared caches.
    let keep = match (note, public) {
        (true, true) => "public, max-age=1",
        (true, false) => "no-store",
        (false, true) => "public, max-age=31536000, immutable",
        (false, false) => "private, max-age=31536000, immutable",
    };
    Ok(([(CONTENT_TYPE, kind), (CACHE_CONTROL, keep)], bytes).into_response())
}

/// `checkpoint`, `witnessed`, `tile/L/N` or `tile/entries/N`, where N is `067`, `x001/067` or `067.p/12`, and
/// nothing that could lead anywhere else.
fn is_name(name: &str) -> bool {
    if matches!(name, "checkpoint" | "witnessed") {
        return true;
    }
    let Some((level, number)) = name
        .strip_prefix("tile/")
        .and_then(|rest| rest.split_once('/'))
    else {
        return false;
    };
    let digits = |text: &str, most: usize| {
        !text.is_empty() && text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    let (number, width) = match number.split_once(".p/") {
        Some((number, width)) => (number, Some(width)),
        None => (number, None),
    };
    let groups: Vec<&str> = number.split('/').collect();
    let Some((last, before)) = groups.split_last() else {
        return false;
    };
    let triple = |text: &str| text.len() == 3 && digits(text, 3);
    (level == "entries" || digits(level, 2))
        && triple(last)
        && before.len() <= 6
        && before
            .iter()
            .all(|group| group.strip_prefix('x').is_some_and(triple))
        && width.is_none_or(|width| digits(width, 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_of_the_log_have_names() {
        for name in [
            "checkpoint",
            "witnessed",
            "tile/0/000",
            "tile/entries/x001/x234/067",
            "tile/1/x001/067.p/255",
        ] {
            assert!(is_name(name), "{name}");
        }
        for not in [
            "",
            "/",
            "tile",
            "tile/0/",
            "tile/0/0",
            "tile/0/../../keys/log.key",
            "../log.vkey",
            "tile//000",
            "tile/entries/x001/067.p/",
            "tile/entries/067.p/1/2",
            "tile/a/000",
            "checkpoint/",
        ] {
            assert!(!is_name(not), "{not}");
        }
    }
}
