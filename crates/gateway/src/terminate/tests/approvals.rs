//! A gateway believes no desk: an approval opens the way for exactly what it is for.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use bailiwick_policy::Approval;
use bailiwick_run::{ApprovalId, RunId, Time};
use tokio::sync::watch;

use super::house::{House, target};
use crate::desk::{Asked, Desk, NotAsked, Question, Standing};
use crate::upstream::Upstream;

const TASK: &str = r#"
task      = "t"
purpose   = "p"
launchers = ["human:*@acme.com"]
ttl       = "30m"
[[read]]
target   = "crm"
requests = ["GET /held/**"]
approve  = "group:owners"
"#;

type Made = fn(&Question, ApprovalId) -> Option<Approval>;

/// Says yes to everything, and gives out what a test wants.
struct Puppet {
    made: Made,
    asked: Mutex<Option<Question>>,
}

impl Desk for Puppet {
    fn ask(
        &self,
        question: Question,
    ) -> Pin<Box<dyn Future<Output = Result<Asked, NotAsked>> + Send>> {
        *self.asked.lock().unwrap() = Some(question);
        let (sender, standing) = watch::channel(Standing::Open);
        tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            let _ = sender.send(Standing::Approved);
            sender.closed().await;
        });
        let asked = Asked {
            id: id(),
            expires: Time::from_millis(u64::MAX / 2),
            standing,
        };
        Box::pin(async move { Ok(asked) })
    }

    fn take(&self, approval: &ApprovalId) -> Option<Approval> {
        let question = self.asked.lock().unwrap().take()?;
        (self.made)(&question, *approval)
    }

    fn withdraw(&self, _: ApprovalId) {}
}

fn id() -> ApprovalId {
    ApprovalId::new(Time::from_millis(1), [3; 10])
}

fn approval(question: &Question, id: ApprovalId) -> Approval {
    Approval {
        id,
        run: question.run.id,
        target: question.target.clone(),
        fingerprint: question.fingerprint,
        policy_digest: question.policy_digest.clone(),
    }
}

async fn house(made: Option<Made>) -> House {
    let desk = made.map(|made| {
        let asked = Mutex::default();
        Arc::new(Puppet { made, asked }) as Arc<dyn Desk>
    });
    // Nothing listens there: what is let through finds nobody.
    House::asking(TASK, vec![target("crm", Upstream::default())], desk).await
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_approval_for_the_call_lets_it_through() {
    let wrong: [Made; 5] = [
        |_, _| None,
        |question, id| {
            Some(Approval {
                run: RunId::new(Time::from_millis(2), [2; 10]),
                ..approval(question, id)
            })
        },
        |question, id| {
            Some(Approval {
                target: "elsewhere".into(),
                ..approval(question, id)
            })
        },
        |question, id| {
            let key = bailiwick_action::FingerprintKey::new([0; 32]);
            let other = bailiwick_action::Fingerprint::of_result(&key, &[0; 32]);
            Some(Approval {
                fingerprint: other,
                ..approval(question, id)
            })
        },
        |question, id| {
            Some(Approval {
                policy_digest: "sha256:other".into(),
                ..approval(question, id)
            })
        },
    ];
    for made in wrong {
        let house = house(Some(made)).await;
        let answer = house.ask("GET /crm/held/1").await;
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
        assert!(
            answer.contains(&format!("\"approval\":\"{}\"", id())),
            "{answer}"
        );
        let records = house.records();
        let last = records.last().unwrap();
        assert_eq!(last["decision"]["effect"], "deny", "{last:#}");
    }
    let house = house(Some(|question, id| Some(approval(question, id)))).await;
    let answer = house.ask("GET /crm/held/1").await;
    assert!(answer.starts_with("HTTP/1.1 502"), "{answer}");
    let records = house.records();
    let decided = records
        .iter()
        .find(|record| record["type"] == "call.decided");
    let decided = &decided.unwrap()["decision"];
    assert_eq!(decided["effect"], "allow", "{decided:#}");
    assert_eq!(decided["approval"], id().to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_can_be_asked_it_is_denied() {
    let house = house(None).await;
    let answer = house.ask("GET /crm/held/1").await;
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    assert!(answer.contains("nobody to ask"), "{answer}");
}
