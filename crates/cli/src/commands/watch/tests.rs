use std::collections::VecDeque;
use std::time::Duration;

use bailiwick_action::Class;
use bailiwick_control::api::{
    Approval, ApprovalState, Counts, Estimate, Incident, RunState, Summary,
};
use bailiwick_run::{ApprovalId, Confinement, RunId, Time};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::style::Color;

use super::app::{App, Pane, Wish};
use super::deed::Deed;
use super::draw;
use super::feed::{News, Noted, Seen, Tail};
use super::palette::Palette;
use crate::commands::trail::{Effect, Line};

/// What somebody who means harm would have a terminal do, and would have a person read.
const HOSTILE: &str =
    "\u{1b}[2J\u{1b}]0;owned\u{7}\u{202e}txet\u{2066}\r\n\u{9b}31m\u{200b}表\u{e0041}";

fn now() -> Time {
    Time::from_millis(1_700_000_000_000)
}

fn run(number: u8, state: RunState, text: &str) -> Summary {
    let opened = Time::from_millis(now().millis() - 60_000);
    Summary {
        run: RunId::new(opened, [number; 10]),
        task: format!("triage-tickets{text}"),
        launcher: "human:alice@acme.com".parse().unwrap(),
        confinement: Confinement::Elsewhere,
        state,
        opened,
        expires: opened.after(Duration::from_secs(120)),
        ended: (state == RunState::Ended).then_some(now()),
        ending: None,
        counts: Counts {
            allowed: 41,
            denied: u64::from(number),
            masked: 7,
        },
        sessions: 2,
    }
}

fn call(number: u8, text: &str) -> Approval {
    Approval {
        id: ApprovalId::new(now(), [number; 10]),
        run: run(1, RunState::Open, "").run,
        task: format!("triage-tickets{text}"),
        launcher: "human:alice@acme.com".parse().unwrap(),
        reason: Some(format!("monday{text}")),
        counts: Counts::default(),
        target: format!("tickets{text}"),
        protocol: "postgres".into(),
        verb: format!("DELETE{text}"),
        actions: vec![format!("delete public.drafts{text}")],
        more_actions: 3,
        class: Class::Destroy,
        approvers: vec![format!("group:data-owners{text}")],
        given: Vec::new(),
        estimate: Estimate::Unknown(format!("why{text}")),
        asked: now(),
        expires: now().after(Duration::from_secs(252)),
        use_within: Duration::from_secs(300),
        state: ApprovalState::Open,
        by: None,
        decided: None,
        usable_until: None,
        answer: None,
        record: format!("run_x/2{text}"),
    }
}

fn incident(number: u8, text: &str) -> Noted {
    Noted {
        run: Some(run(number, RunState::Open, "").run),
        task: Some(format!("triage-tickets{text}")),
        launcher: Some(format!("human:alice@acme.com{text}")),
        incident: Incident {
            id: format!("run_x/{number}{text}"),
            kind: "call.decided".into(),
            time: now(),
            target: Some(format!("tickets{text}")),
            verb: Some(format!("SELECT{text}")),
            actions: vec![format!("select billing.cards{text}")],
            reason: Some(format!("outside the scope{text}")),
            remedy: Some(format!("ask for it{text}")),
        },
    }
}

fn line(effect: Effect, what: &str) -> Line {
    Line {
        seq: 1,
        time: now(),
        effect,
        verb: format!("did{what}"),
        target: None,
        what: what.to_owned(),
        state: String::new(),
        rows: 0,
        masked: 0,
        reason: Some(format!("because{what}")),
        remedy: Some(format!("ask{what}")),
        times: 2,
        quiet: false,
        spoken: None,
    }
}

fn app(text: &str, palette: Palette) -> App {
    let mut app = App::new(format!("human:me@localhost{text}"), "0.1.0".into(), palette);
    app.now = now();
    app.take(News::Seen(Seen {
        runs: vec![
            run(1, RunState::Open, text),
            run(2, RunState::Suspended, text),
            run(0, RunState::Ended, text),
        ],
        incidents: vec![incident(1, text), incident(2, text)],
        held: vec![call(1, text), call(2, text)],
        trail: Some(Tail {
            run: run(1, RunState::Open, text).run,
            lines: VecDeque::from([
                line(Effect::Allowed, text),
                line(Effect::Denied, text),
                line(Effect::Held, text),
            ]),
            cut: true,
            several_targets: true,
        }),
    }));
    app
}

fn drawn(app: &mut App, columns: u16, rows: u16) -> Buffer {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows)).unwrap();
    terminal.draw(|frame| draw::all(frame, app)).unwrap();
    terminal.backend().buffer().clone()
}

fn lines(buffer: &Buffer) -> Vec<String> {
    let rows = buffer.content().chunks(usize::from(buffer.area.width));
    rows.map(|row| {
        row.iter()
            .map(|cell| cell.symbol())
            .collect::<String>()
            .trim_end()
            .to_owned()
    })
    .collect()
}

fn press(app: &mut App, keys: &str) -> Wish {
    let mut wish = Wish::None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            '\u{1b}' => KeyCode::Esc,
            '\u{8}' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        app.now = app.now.after(Duration::from_secs(1));
        wish = app.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
    wish
}

#[test]
fn it_all_fits_a_terminal_of_eighty_columns() {
    let mut app = app("", Palette::colours());
    let shown = lines(&drawn(&mut app, 80, 24));
    println!("{}", shown.join("\n"));
    for words in [
        "2 calls wait for a yes",
        "delete public.drafts at tickets",
        "▶ Runs 1/3",
        "▸ open      triage-tick",
        "███░░░ 1m",
        "Incidents 1/2",
        "✗ select billing.cards at tickets: out",
        "Trail of run_",
        "22:13:20 UTC",
        "a approve  d deny  s suspend  r resume  x revoke  Enter open  / filter  ? help",
    ] {
        assert!(shown.iter().any(|line| line.contains(words)), "{words}");
    }
}

#[test]
fn text_of_others_is_nothing_but_text() {
    for palette in [Palette::colours(), Palette::monochrome()] {
        for (columns, rows) in [(40, 8), (60, 15), (80, 24), (150, 50), (300, 100), (10, 3)] {
            for keys in [
                "", "\n", "\t\n", "\t\t\n", "\t\t\t\n", "?", "/x", "a", "d", "s", "x", "jjs",
                "\tkjr",
            ] {
                let mut app = app(HOSTILE, palette);
                press(&mut app, keys);
                app.take(News::Done(Err(HOSTILE.into())));
                let buffer = drawn(&mut app, columns, rows);
                let bad = ['\u{202e}', '\u{2066}', '\u{200b}', '\u{e0041}'];
                for cell in buffer.content() {
                    let symbol = cell.symbol();
                    assert!(
                        !symbol.contains(char::is_control),
                        "{symbol:?} after {keys:?}"
                    );
                    assert!(!symbol.contains(bad), "{symbol:?} after {keys:?}");
                }
                app.take(News::Unseen(HOSTILE.into()));
                drawn(&mut app, columns, rows);
            }
        }
    }
}

#[test]
fn red_is_outside_a_scope_and_nothing_else() {
    let mut app = app("", Palette::colours());
    let buffer = drawn(&mut app, 80, 24);
    let (mut denied, mut others) = (0, 0);
    for row in buffer.content().chunks(80) {
        let text: String = row.iter().map(|cell| cell.symbol()).collect();
        let mut red: Vec<&str> = row
            .iter()
            .filter(|cell| cell.fg == Color::Red)
            .map(|cell| cell.symbol())
            .collect();
        red.retain(|symbol| *symbol != " ");
        let red = red.len();
        let is_denied = text.contains('✗') || text.contains("denied");
        // Of a run only the number of what was denied is.
        let is_run = text.contains("triage-tick") && text.contains("alice") && text.contains('░');
        match (is_denied, is_run) {
            (true, _) => denied += usize::from(red > 0),
            (false, true) => assert!(red <= 1, "{text}"),
            (false, false) => {
                others += 1;
                assert_eq!(red, 0, "{text}");
            }
        }
    }
    assert!(denied >= 4 && others > 10, "{denied} {others}");
}

#[test]
fn without_colours_there_are_none() {
    let mut app = app("", Palette::monochrome());
    press(&mut app, "a");
    let buffer = drawn(&mut app, 80, 24);
    let cells = buffer.content().iter();
    let coloured = cells.filter(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset);
    assert_eq!(coloured.count(), 0);
}

#[test]
fn nothing_is_done_that_was_not_confirmed() {
    let first = run(1, RunState::Open, "").run;
    for (keys, wish) in [
        ("s", Wish::None),
        ("s\n", Wish::None),
        ("sn", Wish::None),
        ("s\u{1b}", Wish::None),
        ("s\u{1b}y", Wish::None),
        ("sxy", Wish::Do(Deed::Suspend(first))),
        ("xy", Wish::Do(Deed::Revoke(first))),
        (
            "jry",
            Wish::Do(Deed::Resume(run(2, RunState::Open, "").run)),
        ),
        // Not suspended, suspended already, and ended.
        ("ry", Wish::None),
        ("jsy", Wish::None),
        ("jjxy", Wish::None),
        ("ay", Wish::Do(Deed::Approve(call(1, "").id))),
        ("\tjay", Wish::Do(Deed::Approve(call(2, "").id))),
        ("d\n", Wish::None),
        ("d  \n", Wish::None),
        ("dy\n", Wish::Do(Deed::Deny(call(1, "").id, "y".into()))),
        (
            "dnoo\u{8} q\n",
            Wish::Do(Deed::Deny(call(1, "").id, "no q".into())),
        ),
        ("dno\u{1b}", Wish::None),
        ("/xy\n", Wish::None),
        ("?q", Wish::None),
        ("q", Wish::Quit),
    ] {
        assert_eq!(
            press(&mut app("", Palette::colours()), keys),
            wish,
            "{keys:?}"
        );
    }
}

#[test]
fn what_is_pasted_answers_nothing() {
    for keys in ["sy", "xy", "ay", "dx\n"] {
        let mut app = app("", Palette::colours());
        let mut wishes = keys.chars().map(|key| {
            let code = if key == '\n' {
                KeyCode::Enter
            } else {
                KeyCode::Char(key)
            };
            app.press(KeyEvent::new(code, KeyModifiers::NONE))
        });
        assert!(wishes.all(|wish| wish == Wish::None), "{keys:?}");
    }
}

#[test]
fn a_yes_is_to_what_was_asked_about_whatever_moves() {
    let mut app = app("", Palette::colours());
    press(&mut app, "a");
    app.take(News::Seen(Seen {
        held: vec![call(9, ""), call(1, "")],
        ..Seen::default()
    }));
    assert_eq!(
        press(&mut app, "y"),
        Wish::Do(Deed::Approve(call(1, "").id))
    );
}

#[test]
fn a_selection_stays_with_what_it_is_of() {
    let mut app = app("", Palette::colours());
    press(&mut app, "j");
    let selected = app.selected_run();
    app.take(News::Seen(Seen {
        runs: vec![
            run(7, RunState::Open, ""),
            run(1, RunState::Open, ""),
            run(2, RunState::Suspended, ""),
        ],
        ..Seen::default()
    }));
    assert_eq!((app.run_row(), app.selected_run()), (2, selected));
}

#[test]
fn a_filter_leaves_what_has_its_words() {
    let mut app = app("", Palette::colours());
    press(&mut app, "/Suspended Alice\n");
    assert_eq!(app.runs().len(), 1);
    assert_eq!(app.held().len(), 2);
    press(&mut app, "\u{1b}");
    assert_eq!(app.runs().len(), 3);
}

#[test]
fn an_incident_leads_to_its_run() {
    let mut app = app("", Palette::colours());
    press(&mut app, "\t\tj\n\n");
    assert_eq!(app.focus, Pane::Trail);
    assert_eq!(app.selected_run(), Some(run(2, RunState::Open, "").run));
}

#[test]
fn what_a_call_would_do_is_asked_before_a_yes_however_small_the_terminal() {
    for (columns, rows) in [(80, 24), (50, 18), (40, 14)] {
        let mut app = app("", Palette::colours());
        press(&mut app, "a");
        let shown = lines(&drawn(&mut app, columns, rows)).join("\n");
        for words in ["Approve this call?", "delete", "yes, do it"] {
            assert!(
                shown.contains(words),
                "{words} at {columns}×{rows}:\n{shown}"
            );
        }
    }
}
