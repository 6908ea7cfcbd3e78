//! A pseudo-terminal that a test can close.

use std::ffi::OsStr;
use std::fs::File;
use std::io::Read;
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
    let Terminal { mut person, program } = Terminal::open();
    let size = Winsize {
        ws_row: 24,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(&person, size).unwrap();
    let mut child = command.stdout(program).spawn().unwrap();
    // The reader sees an end only when nobody has the program's end open any more.
    drop(command);
    let mut screen = Vec::new();
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = person.read(&mut bytes) {
        screen.extend_from_slice(&bytes[..read]);
    }
    let screen = String::from_utf8(screen).unwrap().replace("\r\n", "\n");
    (child.wait().unwrap().code(), screen)
}
