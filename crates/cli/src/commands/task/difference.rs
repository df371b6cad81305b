//! What changed between two texts, line by line.

/// The most lines of either text that are compared; of longer ones all is old, and all is new.
const LINES_MAX: usize = 2_000;

/// A line of the difference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Line<'t> {
    /// In both.
    Same(&'t str),
    /// Only in the old one.
    Gone(&'t str),
    /// Only in the new one.
    New(&'t str),
}

/// By the longest sequence of lines that both have.
pub(super) fn between<'t>(old: &'t str, new: &'t str) -> Vec<Line<'t>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    if old.len() > LINES_MAX || new.len() > LINES_MAX {
        let gone = old.into_iter().map(Line::Gone);
        return gone.chain(new.into_iter().map(Line::New)).collect();
    }
    let lengths = lengths(&old, &new);
    let length = |from_old: usize, from_new: usize| {
        let row = lengths.get(from_old);
        row.and_then(|row| row.get(from_new)).copied().unwrap_or(0)
    };
    let (mut at_old, mut at_new) = (0, 0);
    let mut lines = Vec::new();
    loop {
        let line = match (old.get(at_old), new.get(at_new)) {
            (None, None) => return lines,
            (Some(before), Some(after)) if before == after => Line::Same(before),
            (Some(before), None) => Line::Gone(before),
            (None, Some(after)) => Line::New(after),
            (Some(before), Some(_)) if length(at_old + 1, at_new) >= length(at_old, at_new + 1) => {
                Line::Gone(before)
            }
            (Some(_), Some(after)) => Line::New(after),
        };
        at_old += usize::from(!matches!(line, Line::New(_)));
        at_new += usize::from(!matches!(line, Line::Gone(_)));
        lines.push(line);
    }
}

/// How long the longest common sequence is, from each line of the one and of the other on.
fn lengths(old: &[&str], new: &[&str]) -> Vec<Vec<u16>> {
    let mut lengths = vec![vec![0; new.len() + 1]];
    for before in old.iter().rev() {
        let below = lengths.last().cloned().unwrap_or_default();
        let mut row = vec![0; new.len() + 1];
        let mut right = 0;
        for (index, after) in new.iter().enumerate().rev() {
            let of = |index: usize| below.get(index).copied().unwrap_or(0);
            right = match before == after {
                true => of(index + 1) + 1,
                false => of(index).max(right),
            };
            if let Some(place) = row.get_mut(index) {
                *place = right;
            }
        }
        lengths.push(row);
    }
    lengths.reverse();
    lengths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(old: &str, new: &str) -> String {
        let line = |line| match line {
            Line::Same(text) => format!(" {text}"),
            Line::Gone(text) => format!("-{text}"),
            Line::New(text) => format!("+{text}"),
        };
        between(old, new)
            .into_iter()
            .map(line)
            .collect::<Vec<_>>()
            .join("|")
    }

    #[test]
    fn what_both_have_stays() {
        assert_eq!(shown("a\nb\nc", "a\nx\nc\nd"), " a|-b|+x| c|+d");
        assert_eq!(shown("", "a"), "+a");
        assert_eq!(shown("a\nb", ""), "-a|-b");
        assert_eq!(shown("a\nb\na\nb", "b\na"), "-a| b| a|-b");
        assert_eq!(shown("a", "a"), " a");
    }

    #[test]
    fn either_text_is_all_there() {
        let old: String = (0..90).map(|n| format!("{}\n", n * n % 7)).collect();
        let new: String = (0..80).map(|n| format!("{}\n", n * n % 5)).collect();
        let lines = between(&old, &new);
        let text = |skip: fn(&Line<'_>) -> bool| {
            let kept = lines
                .iter()
                .filter(|line| !skip(line))
                .map(|line| match line {
                    Line::Same(text) | Line::Gone(text) | Line::New(text) => format!("{text}\n"),
                });
            kept.collect::<String>()
        };
        assert_eq!(text(|line| matches!(line, Line::New(_))), old);
        assert_eq!(text(|line| matches!(line, Line::Gone(_))), new);
    }
}
