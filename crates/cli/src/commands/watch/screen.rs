//! The terminal: taken over at the start, and given back as it was, however this ends.

use std::io;
use std::panic;

use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{EnterAlternateScreen, disable_raw_mode, enable_raw_mode};
use ratatui::{DefaultTerminal, Frame};
use rustix::process::{Signal, kill_current_process_group};

use crate::failure::Failure;

/// The exit status of a program that has panicked, as Rust has it.
const PANICKED: i32 = 101;

/// The terminal while it is ours. Also a panic gives it back, in whatever part.
pub(super) struct Screen(DefaultTerminal);

impl Screen {
    pub(super) fn enter() -> Result<Self, Failure> {
        let screen = ratatui::try_init().map(Self).map_err(lost)?;
        // By now it gives the terminal back before it says what happened.
        let say = panic::take_hook();
        panic::set_hook(Box::new(move |what| {
            let _ = execute!(io::stdout(), Show);
            say(what);
            // Whatever panicked: what is left would go on to draw on a terminal that is the shell's again.
            std::process::exit(PANICKED);
        }));
        Ok(screen)
    }

    pub(super) fn draw(&mut self, draw: impl FnOnce(&mut Frame)) -> Result<(), Failure> {
        self.0.draw(draw).map(drop).map_err(lost)
    }

    /// Gives the terminal back to the shell and stops this process and what it was started with, as Ctrl-Z does.
    /// Goes on when the shell says so.
    pub(super) fn stop(&mut self) -> Result<(), Failure> {
        self.0.show_cursor().map_err(lost)?;
        ratatui::try_restore().map_err(lost)?;
        kill_current_process_group(Signal::TSTP).map_err(|error| lost(error.into()))?;
        self.again()
    }

    /// Takes the terminal over once more and draws everything, whatever was done to it in the meantime.
    pub(super) fn again(&mut self) -> Result<(), Failure> {
        let taken = || {
            // A shell may have set it back without us knowing: only what is off can be turned on.
            disable_raw_mode()?;
            enable_raw_mode()?;
            execute!(io::stdout(), EnterAlternateScreen)
        };
        taken().map_err(lost)?;
        // Not `clear`: it asks the terminal where its cursor is, and the answer would arrive among the keys.
        let size = self.0.size().map_err(lost)?;
        self.0.resize(size.into()).map_err(lost)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

fn lost(error: io::Error) -> Failure {
    Failure::new(format!("the terminal cannot be used: {error}"))
}

#[cfg(test)]
mod tests {
    use std::fs::{File, OpenOptions};
    use std::io::Read;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};

    use super::*;

    /// Set for the process that is to panic, which the test below starts in a terminal of its own.
    const PANICS: &str = "BAILIWICK_TEST_PANICS";

    #[test]
    fn a_panic_in_any_part_gives_the_terminal_back_and_says_what_happened() {
        let name = "commands::watch::screen::tests::a_panic_in_any_part_gives_the_terminal_back_and_says_what_happened";
        if std::env::var_os(PANICS).is_some() {
            let mut screen = Screen::enter().unwrap();
            let draw = |frame: &mut Frame| frame.render_widget("watched", frame.area());
            screen.draw(draw).unwrap();
            let part = std::thread::spawn(|| panic!("a part is of no use any more"));
            // Without an end of all of it, this would go on.
            drop(part.join());
            std::thread::sleep(std::time::Duration::from_secs(60));
            return;
        }
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let slave = ptsname(&master, Vec::new()).unwrap().into_string().unwrap();
        let slave = OpenOptions::new().read(true).write(true).open(slave);
        let (mut master, slave) = (File::from(master), slave.unwrap());
        let size = Winsize {
            ws_row: 24,
            ws_col: 80,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).unwrap();
        let end = || Stdio::from(slave.try_clone().unwrap());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(PANICS, "1")
            .env("TERM", "xterm-256color")
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .spawn()
            .unwrap();
        let reading = std::thread::spawn(move || {
            let (mut written, mut buffer) = (Vec::new(), [0; 4096]);
            // It ends with an error when nobody has the other side any more.
            while let Ok(read @ 1..) = master.read(&mut buffer) {
                written.extend_from_slice(&buffer[..read]);
            }
            written
        });
        let status = child.wait().unwrap();
        let modes = tcgetattr(&slave).unwrap().local_modes;
        drop(slave);
        let written = reading.join().unwrap();
        let said = String::from_utf8_lossy(&written);
        assert_eq!(status.code(), Some(PANICKED), "{said:?}");
        assert!(modes.contains(LocalModes::ICANON | LocalModes::ECHO | LocalModes::ISIG));
        let mut terminal = vt100::Parser::new(24, 80, 0);
        terminal.process(&written);
        let screen = terminal.screen();
        assert!(
            said.contains("\u{1b}[?1049h") && said.contains("watched"),
            "{said:?}"
        );
        assert!(
            !screen.alternate_screen() && !screen.hide_cursor(),
            "{said:?}"
        );
        let left = screen.contents();
        assert!(left.contains("a part is of no use any more"), "{left}");
        assert!(!left.contains("watched"), "{left}");
    }
}
