use super::entry::Entry;
use crate::limits::NOTICE_ACTIONS_MAX;
use crate::notice::{Notice, NoticeKind};

/// What people elsewhere are told of a question: what is understood of the call, and where it is decided. Nothing
/// that the agent wrote, and no way to decide without signing in.
pub(super) fn of_question(entry: &Entry) -> Notice {
    let question = &entry.question;
    let run = &question.run;
    let title = format!(
        "{} waits for {}: {} on {}, for {}",
        run.task,
        question
            .approvers
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(" and "),
        question.verb,
        question.target,
        run.launcher,
    );
    Notice {
        approval: Some(entry.id.to_string()),
        approvers: question.approvers.iter().cloned().collect(),
        expires: Some(entry.expires.wall),
        run: Some(run.id),
        task: Some(run.task.clone()),
        launcher: Some(run.launcher.clone()),
        target: Some(question.target.clone()),
        verb: Some(question.verb.clone()),
        actions: entry
            .actions()
            .into_iter()
            .take(NOTICE_ACTIONS_MAX)
            .collect(),
        rows: question
            .estimate
            .as_ref()
            .ok()
            .map(|estimate| estimate.rows),
        record: Some(entry.record()),
        page: format!("/approvals/{}", entry.id),
        ..Notice::new(
            entry.id.to_string(),
            NoticeKind::CallHeld,
            entry.asked,
            title,
        )
    }
}
