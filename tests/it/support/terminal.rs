//! A pseudo-terminal that a test can close.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::OpenOptionsExt;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// The user's end of the terminal. Dropping it closes the window.
pub struct Terminal {
    person: File,
    program: File,
}

impl Terminal {
    pub fn open() -> Self {
        let person = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&person).unwrap();
        unlockpt(&person).unwrap();
        let name = ptsname(&person, Vec::new()).unwrap();
        let program = File::options()
            .read(true)
            .write(true)
            .custom_flags(OFlags::NOCTTY.bits().cast_signed())
            .open(OsStr::from_bytes(name.as_bytes()))
            .unwrap();
        Self {
            person: person.into(),
            program,
        }
    }

    /// The program's end of the terminal.
    pub fn end(&self) -> Stdio {
        self.program.try_clone().unwrap().into()
    }

    /// The program's end of a terminal that is already closed.
    pub fn gone() -> Stdio {
        Self::open().end()
    }

    fn run(self, mut command: Command, columns: u16) -> (Option<i32>, String) {
        let Self { mut person, program } = self;
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&person, size).unwrap();
        let mut child = command.spawn().unwrap();
        // The reader sees an end only when nobody has the program's end open any more.
        drop((command, program));
        let mut screen = Vec::new();
        let mut bytes = [0; 4096];
        while let Ok(read @ 1..) = person.read(&mut bytes) {
            screen.extend_from_slice(&bytes[..read]);
        }
        let screen = String::from_utf8(screen).unwrap().replace("\r\n", "\n");
        (child.wait().unwrap().code(), screen)
    }

    /// Types the text.
    pub fn types(&mut self, text: &str) {
        self.person.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the text is on the screen.
    pub async fn shows(mut self, text: &'static str) -> Self {
        let read = tokio::task::spawn_blocking(move || {
            let mut screen = Vec::new();
            let mut bytes = [0; 4096];
            while !String::from_utf8_lossy(&screen).contains(text) {
                let read = self.person.read(&mut bytes).unwrap();
                screen.extend_from_slice(&bytes[..read]);
            }
            self
        });
        read.await.unwrap()
    }
}

/// Runs a command whose stdout is a terminal of this width. Returns its exit code and what it printed.
pub fn output_of(mut command: Command, columns: u16) -> (Option<i32>, String) {
    let terminal = Terminal::open();
    command.stdout(terminal.end());
    terminal.run(command, columns)
}

/// The same with stderr on that terminal, too.
pub fn screen_of(mut command: Command, columns: u16) -> (Option<i32>, String) {
    let terminal = Terminal::open();
    command.stdout(terminal.end()).stderr(terminal.end());
    terminal.run(command, columns)
}

/// What was written to a terminal, without colours and movements of the cursor, in lines that took one on the screen.
pub fn lines(screen: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut chars = screen.chars();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => {
                // The bracket, then parameters up to a letter.
                chars.by_ref().skip(1).find(char::is_ascii_alphabetic);
            }
            '\r' => plain.push('\n'),
            c => plain.push(c),
        }
    }
    plain
        .lines()
        .map(|line| line.trim_end().to_owned())
        .filter(|line| !line.is_empty())
        .collect()
}
