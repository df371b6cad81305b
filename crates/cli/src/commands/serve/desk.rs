//! Those who keep the approvals, as the gateway asks them.

use std::pin::Pin;

use bailiwick_control::AskError;
use bailiwick_gateway::{Asked, Desk, NotAsked, Question};
use bailiwick_policy::Approval;
use bailiwick_run::ApprovalId;

use super::wiring::Runs;

impl Desk for Runs {
    fn ask(
        &self,
        question: Question,
    ) -> Pin<Box<dyn Future<Output = Result<Asked, NotAsked>> + Send>> {
        let registry = self.0.clone();
        Box::pin(async move {
            let asked = registry.ask(question).await.map_err(not_asked)?;
            Ok(Asked {
                id: asked.id,
                expires: asked.expires,
                standing: asked.standing,
            })
        })
    }

    fn take(&self, approval: &ApprovalId) -> Option<Approval> {
        self.0.take(approval)
    }

    fn withdraw(&self, approval: ApprovalId) {
        self.0.withdraw(approval);
    }
}

fn not_asked(error: AskError) -> NotAsked {
    match error {
        AskError::TooMany(open) => NotAsked::TooMany(open),
        AskError::TooOften(asked) => NotAsked::TooOften(asked),
        AskError::NotLive => NotAsked::NotLive,
        AskError::Record(error) => NotAsked::Record(error),
        AskError::Random => NotAsked::Random,
    }
}
