//! What the gateway says in the target's place: problem details (RFC 9457), in the binary form that
//! sessions speak.

use bailiwick_action::Denial;
use bailiwick_run::ApprovalId;
use bytes::{Bytes, BytesMut};

use super::bhttp::{Fields, Response, put_content, put_end, put_response};
use super::login::Face;
use crate::{Refused, Why};

/// What sort of problem it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    Busy,
    Defect,
    Denied,
    MediaType,
    NotUnderstood,
    ProxyUnauthenticated,
    Suspended,
    Stopping,
    TargetLost,
    TargetUnopened,
    TooLarge,
    Unapproved,
    Unauthenticated,
    Unrecorded,
    Unsupported,
    Withheld,
}

impl Sort {
    /// The last part of its type, its status, and its title.
    fn words(self) -> (&'static str, u16, &'static str) {
        match self {
            Sort::Busy => ("busy", 429, "There is no room for one more"),
            Sort::Defect => ("defect", 500, "A defect in the gateway"),
            Sort::Denied => ("denied", 403, "The call is outside the scope of this run"),
            Sort::MediaType => ("media-type", 415, "The content's type is not accepted"),
            Sort::NotUnderstood => (
                "not-understood",
                400,
                "The request is not accepted as it is",
            ),
            Sort::ProxyUnauthenticated => ("unauthenticated", 407, "A run's secret is needed"),
            Sort::Suspended => ("suspended", 403, "This run is suspended"),
            Sort::Stopping => ("stopping", 503, "The gateway is stopping"),
            Sort::TargetLost => ("target-lost", 502, "The target went away"),
            Sort::TargetUnopened => ("target-unopened", 502, "The target cannot be reached"),
            Sort::TooLarge => ("too-large", 413, "The content is too large to be decided"),
            Sort::Unapproved => ("unapproved", 403, "The call needs somebody's approval"),
            Sort::Unauthenticated => ("unauthenticated", 401, "A run's secret is needed"),
            Sort::Unrecorded => (
                "unrecorded",
                503,
                "The call was not sent: it could not be recorded",
            ),
            Sort::Unsupported => ("unsupported", 501, "This gateway does not have it"),
            Sort::Withheld => ("withheld", 502, "The answer is withheld"),
        }
    }
}

/// Why a request cannot be let through whatever the scope. No text of the agent's in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) sort: Sort,
    pub(crate) why: String,
}

impl Refusal {
    pub(crate) fn new(sort: Sort, why: impl Into<String>) -> Self {
        Self {
            sort,
            why: why.into(),
        }
    }

    pub(crate) fn not_understood(why: impl Into<String>) -> Self {
        Self::new(Sort::NotUnderstood, why)
    }
}

/// An answer of the gateway's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    /// What sort of problem it is.
    pub(crate) sort: Sort,
    /// What happened.
    pub(crate) detail: String,
    /// What to do about it.
    pub(crate) remedy: String,
    /// The approval that is wanting.
    pub(crate) approval: Option<ApprovalId>,
    /// Fields of the response, beside its type.
    pub(crate) fields: Fields,
}

impl Problem {
    pub(crate) fn new(sort: Sort, detail: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            sort,
            detail: detail.into(),
            remedy: remedy.into(),
            approval: None,
            fields: Fields::new(),
        }
    }

    /// The same, with one more field.
    pub(crate) fn with(mut self, field: &str, value: impl Into<Bytes>) -> Self {
        self.fields.push((field.to_owned(), value.into()));
        self
    }

    /// The denial of a call.
    pub(crate) fn denied(denial: &Denial) -> Self {
        Self::new(Sort::Denied, &*denial.reason, &*denial.remedy)
    }

    /// A call that is not made for want of an approval.
    pub(crate) fn unapproved(denial: &Denial, approval: ApprovalId) -> Self {
        Self {
            approval: Some(approval),
            ..Self::new(Sort::Unapproved, &*denial.reason, &*denial.remedy)
        }
    }

    /// A call that the agent took back.
    pub(crate) fn withdrawn() -> Self {
        Self::new(Sort::Unapproved, "the call was taken back", "")
    }

    /// The failure to record a call.
    pub(crate) fn unrecorded(why: &str) -> Self {
        let remedy = "The target was not touched. Tell whoever runs the gateway; then try again.";
        Self::new(Sort::Unrecorded, why, remedy).with("retry-after", "5")
    }

    /// The failure to get in. It says what is asked for in the terms of whom the agent takes the gateway
    /// for (RFC 9110, sections 11.6.1 and 11.7.1).
    pub(crate) fn unauthenticated(face: Face, detail: impl Into<String>) -> Self {
        let (sort, field) = match face {
            Face::Target => (Sort::Unauthenticated, "www-authenticate"),
            Face::Proxy => (Sort::ProxyUnauthenticated, "proxy-authenticate"),
        };
        let remedy = "Send the run's own secret: `Authorization: Bearer bwk_…` (to a proxy, \
                      `Proxy-Authorization`), or Basic with the run's id and the secret. Both come from \
                      `bailiwick run` or `bailiwick open`, and end with the run.";
        Self::new(sort, detail, remedy)
            .with(field, "Bearer realm=\"bailiwick\"")
            .with(field, "Basic realm=\"bailiwick\"")
    }

    /// Why the gateway ends or does not start an exchange.
    pub(crate) fn refused(refused: &Refused, face: Face) -> Self {
        let sort = match refused.why {
            Why::Agent => Sort::NotUnderstood,
            Why::Busy => Sort::Busy,
            Why::Credential | Why::Ended | Why::NotLive => {
                return Self {
                    remedy: refused.hint.clone(),
                    ..Self::unauthenticated(face, &*refused.message)
                };
            }
            Why::Defect => Sort::Defect,
            Why::OutOfScope => Sort::Denied,
            Why::Suspended => Sort::Suspended,
            Why::Stopping => Sort::Stopping,
            Why::TargetLost => Sort::TargetLost,
            Why::TargetUnopened => Sort::TargetUnopened,
            Why::Unrecorded => Sort::Unrecorded,
            Why::Unsupported => Sort::Unsupported,
        };
        let problem = Self::new(sort, &*refused.message, &*refused.hint);
        match sort {
            Sort::Busy => problem.with("retry-after", "1"),
            Sort::Stopping | Sort::Unrecorded => problem.with("retry-after", "5"),
            _ => problem,
        }
    }

    /// Its status.
    pub(crate) fn status(&self) -> u16 {
        self.sort.words().1
    }

    /// The content, for people and programs.
    pub(crate) fn content(&self) -> String {
        let mut members = serde_json::Map::new();
        let mut put = |name: &str, value: serde_json::Value| {
            members.insert(name.to_owned(), value);
        };
        let (name, status, title) = self.sort.words();
        put("type", format!("urn:bailiwick:problem:{name}").into());
        put("title", title.into());
        put("status", status.into());
        put("detail", (&*self.detail).into());
        if !self.remedy.is_empty() {
            put("remedy", (&*self.remedy).into());
        }
        if let Some(approval) = self.approval {
            put("approval", approval.to_string().into());
        }
        serde_json::Value::Object(members).to_string()
    }

    /// The whole response. The answer to a HEAD has no content (RFC 9110, section 9.3.2).
    pub(crate) fn response(&self, to_head: bool) -> Bytes {
        let mut fields: Fields = vec![
            (
                "content-type".to_owned(),
                Bytes::from_static(b"application/problem+json"),
            ),
            ("cache-control".to_owned(), Bytes::from_static(b"no-store")),
        ];
        fields.extend(self.fields.iter().cloned());
        let mut out = BytesMut::new();
        let status = self.status();
        put_response(&mut out, &Response { status, fields });
        if !to_head {
            put_content(&mut out, self.content().as_bytes());
        }
        put_end(&mut out, &[]);
        out.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::super::bhttp::{Part, Reader, field};
    use super::*;

    fn parts(bytes: &[u8]) -> Vec<Part> {
        let mut reader = Reader::default();
        reader.push(bytes);
        std::iter::from_fn(|| reader.next().unwrap()).collect()
    }

    #[test]
    fn a_problem_is_one_whole_response_whatever_its_words() {
        let denial = Denial {
            policies: Vec::new(),
            reason: "no \"way\"\r\nset-cookie: a=b".into(),
            remedy: "ask".into(),
        };
        let problem = Problem::denied(&denial);
        let parts = parts(&problem.response(false));
        let [Part::Response(head), Part::Content(content), Part::End(_)] = &parts[..] else {
            panic!("{parts:?}");
        };
        assert_eq!(head.status, 403);
        let kind = field(&head.fields, "content-type").unwrap();
        assert_eq!(kind, b"application/problem+json");
        let json: serde_json::Value = serde_json::from_slice(content).unwrap();
        assert_eq!(json["detail"], denial.reason);
        assert_eq!(json["remedy"], "ask");
        assert_eq!(json["status"], 403);
        assert_eq!(json["type"], "urn:bailiwick:problem:denied");
    }

    #[test]
    fn what_is_asked_for_is_said_as_a_target_or_as_a_proxy() {
        for (face, status, name) in [
            (Face::Target, 401, "www-authenticate"),
            (Face::Proxy, 407, "proxy-authenticate"),
        ] {
            let parts = parts(&Problem::unauthenticated(face, "no").response(true));
            let [Part::Response(head), Part::End(_)] = &parts[..] else {
                panic!("{parts:?}");
            };
            assert_eq!(head.status, status);
            let asked = field(&head.fields, name).unwrap();
            assert_eq!(asked, b"Bearer realm=\"bailiwick\"");
        }
    }
}
