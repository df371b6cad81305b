//! Asking whoever is at the terminal, before something that nothing undoes.

use std::io::{BufRead, IsTerminal, Read, Write};

use crate::failure::Failure;

/// The longest answer to a question on the terminal.
const ANSWER_MAX: u64 = 64;

/// Shows what is at stake, and goes on only if somebody says yes. On stderr: stdout is for what came of it.
///
/// # Errors
/// If nobody is there to be asked, or they do not say yes; with what to do instead.
pub(crate) fn confirm(shown: &str, question: &str, help: &Help<'_>) -> Result<(), Failure> {
    let not = |why: &dyn std::fmt::Display| Failure::new(format!("nothing was done: {why}"));
    if !std::io::stdin().is_terminal() {
        return Err(not(&"nobody is at this terminal to be asked").help(help.nobody));
    }
    let mut err = anstream::stderr();
    let asked = write!(err, "{shown}\n{question} [y/N] ").and_then(|()| err.flush());
    let mut answer = String::new();
    let answered = asked.and_then(|()| {
        let stdin = std::io::stdin().lock();
        stdin.take(ANSWER_MAX).read_line(&mut answer)
    });
    answered.map_err(|error| not(&error))?;
    match answer.trim() {
        "y" | "Y" | "yes" => Ok(()),
        _ => Err(not(&"that was no yes").help(help.no)),
    }
}

/// What to do where nothing was done.
pub(crate) struct Help<'h> {
    /// Because nobody is there to be asked.
    pub(crate) nobody: &'h str,
    /// Because they did not say yes.
    pub(crate) no: &'h str,
}
