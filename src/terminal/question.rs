//! A question that a person answers with yes or no.

use std::io::{IsTerminal, Write, stderr, stdin};
use std::thread;

use tokio::sync::oneshot;

/// Whether somebody can read the question and type the answer.
pub fn can_be_asked() -> bool {
    stdin().is_terminal() && stderr().is_terminal()
}

/// Returns whether the answer is yes. Anything else is no, and so is the end of the input. Dropping the future leaves
/// the question unanswered.
pub async fn ask(question: &str) -> bool {
    let mut line = OpenLine { is_open: true };
    let mut terminal = stderr();
    // Unwritten, it is answered by the end of the input.
    let _written = write!(terminal, "{question} [y/N] ").and_then(|()| terminal.flush());
    let (typed, answer) = oneshot::channel();
    // A thread of its own: the runtime would wait for one of its threads until somebody types, even after a signal.
    thread::spawn(move || {
        let mut answer = String::new();
        let read = stdin().read_line(&mut answer);
        let _unheard = typed.send(read.map(|_| answer).unwrap_or_default());
    });
    let answer = answer.await.unwrap_or_default();
    line.is_open = !answer.ends_with('\n');
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// The line of the question, ended by the answer or by us.
struct OpenLine {
    is_open: bool,
}

impl Drop for OpenLine {
    fn drop(&mut self) {
        if self.is_open {
            super::err("");
        }
    }
}
