use super::super::path;
use super::*;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.next() as usize % from.len()]
    }

    fn text(&mut self, of: &[&str]) -> String {
        let length = self.next() % 8;
        (0..length).map(|_| *self.pick(of)).collect()
    }
}

const PATHS: [&str; 24] = [
    "/", "/", "/", "a", "b", "%61", "%2F", "%2e", ".", "..", "%", "%25", ";", "\\", "+", "@",
    "%20", "%C3%A9", "%ff", "\u{e9}", "?", "&", "=", "#",
];
const METHODS: [&str; 6] = ["GET", "POST", "PUT", "DELETE", "PATCH", "TRACE"];
const TYPES: [&str; 5] = [
    "application/json",
    "text/plain",
    "application/octet-stream",
    "application/x-www-form-urlencoded",
    "multipart/form-data",
];
const BODIES: [&str; 10] = [
    "{", "}", "\"a\"", ":", "1", ",", "a=b", "&", "[masked]", "_method",
];

/// What goes to the target is one request, and it is the one that was decided.
#[test]
fn what_goes_to_the_target_is_the_one_request_that_was_decided() {
    let mut random = Random(1);
    let mut through = 0;
    for _ in 0..4_000 {
        let path = format!("/crm{}", random.text(&PATHS));
        let method = *random.pick(&METHODS);
        let kind = *random.pick(&TYPES);
        let body = random.text(&BODIES);
        let head = request(method, &path, &[("content-type", kind)]);
        let mut test = Test::new();
        if test.head(&head).wanted != Some(Wanted::Name("crm".into())) {
            continue;
        }
        // However it is cut.
        let mut bytes = content(body.as_bytes());
        bytes.extend_from_slice(&end());
        let mut did = test.connect();
        for piece in bytes.chunks(1 + random.next() as usize % 5) {
            if did.asked.is_none() {
                did = test.agent(piece);
            }
        }
        let held = did.held();
        if held.call.refusal.is_some() {
            assert!(held.bytes.is_empty());
            continue;
        }
        through += 1;
        let parts = parts(&held.bytes);
        let Some(Part::Request(sent)) = parts.first() else {
            panic!("{path}: {parts:?}");
        };
        let heads = parts.iter().filter(|part| matches!(part, Part::Request(_)));
        assert_eq!(heads.count(), 1);
        assert!(matches!(parts.last(), Some(Part::End(_))));
        let [action] = &held.call.actions[..] else {
            panic!("{path}");
        };
        let (verb, decided) = action.resource.method_and_path().unwrap();
        let (at_target, query) = path::split(&sent.path);
        assert_eq!(
            (&*sent.method, at_target),
            (verb, &*format!("/api/v2{decided}"))
        );
        assert_eq!(path::canonical(decided).as_deref(), Ok(decided));
        let again = path::query(query.unwrap_or_default()).unwrap();
        assert_eq!(
            path::spelled(&again).trim_start_matches('?'),
            query.unwrap_or_default()
        );
        assert_eq!(did.sent().1, body.as_bytes());
        assert!(!body.contains("[masked]"));
    }
    assert!(through > 200, "{through}");
}
