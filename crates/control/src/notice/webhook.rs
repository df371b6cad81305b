//! Webhooks as Standard Webhooks say (<https://www.standardwebhooks.com>): an id that stays the same with every
//! attempt, the moment of the attempt, and a signature over both and the body.

use bailiwick_run::Time;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::Sha256;

use super::Notice;

/// A request that carries one notice.
pub(super) struct Signed {
    pub(super) fields: [(&'static str, String); 3],
    pub(super) body: Vec<u8>,
}

/// Makes the request, at this moment. `link` is where people look at it.
pub(super) fn sign(notice: &Notice, link: Option<&str>, secret: &[u8], now: Time) -> Signed {
    let mut data = json!(notice);
    if let Some(data) = data.as_object_mut() {
        for name in ["type", "time", "page"] {
            data.remove(name);
        }
        if let Some(link) = link {
            data.insert("url".into(), link.into());
        }
    }
    let body = json!({
        "type": notice.kind.as_str(),
        "timestamp": notice.time.to_string(),
        "data": data,
    });
    let body = body.to_string().into_bytes();
    let seconds = (now.millis() / 1000).to_string();
    let signature = Hmac::<Sha256>::new_from_slice(secret).map(|mut mac| {
        mac.update(format!("{}.{seconds}.", notice.id).as_bytes());
        mac.update(&body);
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    });
    // A key of HMAC may have any length.
    let signature = signature.unwrap_or_default();
    Signed {
        fields: [
            ("webhook-id", notice.id.clone()),
            ("webhook-timestamp", seconds),
            ("webhook-signature", format!("v1,{signature}")),
        ],
        body,
    }
}
