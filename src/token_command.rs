//! Runs a program that prints a token, such as `wrangler auth token --json` or a password manager.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use secrecy::SecretString;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use crate::text::shown;

/// How long the program may take.
const TIME_LIMIT: Duration = Duration::from_secs(30);
/// How long to read on after the program ended. A process that it left behind may keep its output open.
const LAST_READ: Duration = Duration::from_secs(1);
/// More than this on stdout is not a token.
const LARGEST_OUTPUT: usize = 64 << 10;
/// How much of stderr is kept for the error message.
const LARGEST_ERROR: usize = 2 << 10;

/// The fields of a JSON object that may hold the token, the first that is there counts. `wrangler auth token --json`
/// prints `{"type": "oauth", "token": "..."}`.
const TOKEN_FIELDS: [&str; 6] = ["token", "access_token", "api_token", "value", "password", "secret"];

/// A program that prints a token, with its arguments and its whole environment. It is started without a shell.
pub struct TokenCommand {
    /// Where it is configured, for messages.
    pub origin: String,
    /// What messages call the program.
    pub name: String,
    pub program: OsString,
    pub args: Vec<String>,
    pub environment: Vec<(&'static str, OsString)>,
}

/// One line, without any secret: the origin, what happened, and what to do.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct TokenCommandError(String);

impl TokenCommand {
    /// Runs the program. Dropping the future ends it, with all processes of its group.
    pub async fn run(&self) -> Result<SecretString, TokenCommandError> {
        let error = |problem| TokenCommandError(format!("{}: {} {problem}", self.origin, self.name));
        self.output()
            .await
            .and_then(|output| output.into_token())
            .map_err(error)
    }

    async fn output(&self) -> Result<Output, String> {
        let child = Command::new(&self.program)
            .args(&self.args)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| format!("can't be started: {error}: check its name, PATH and permissions"))?;
        let mut running = Running(child);
        let ended = timeout(TIME_LIMIT, running.finish()).await;
        ended.unwrap_or_else(|_| {
            Err(format!(
                "did not end within {} s and was stopped: run it by hand; it must not wait for anyone",
                TIME_LIMIT.as_secs()
            ))
        })
    }
}

/// Ends the program's process group when it is dropped before the program ended.
struct Running(Child);

impl Running {
    async fn finish(&mut self) -> Result<Output, String> {
        let (stdout, stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let mut output = Output::default();
        let failed = |error: io::Error| format!("can't be waited for: {error}");
        output.status = {
            let mut reading = pin!(output.read(stdout, stderr));
            tokio::select! {
                read = &mut reading => {
                    read?;
                    self.0.wait().await.map_err(failed)?
                }
                status = self.0.wait() => {
                    if let Ok(read) = timeout(LAST_READ, reading).await {
                        read?;
                    }
                    status.map_err(failed)?
                }
            }
        };
        Ok(output)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Without an id, the process was waited for, and its number may be another one's by now.
        let id = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(group) = id {
            // It may have ended in this moment.
            let _ended = kill_process_group(group, Signal::KILL);
        }
    }
}

/// What the program printed, and how it ended.
#[derive(Default)]
struct Output {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    status: ExitStatus,
}

impl Output {
    async fn read(
        &mut self,
        stdout: Option<impl AsyncRead + Unpin>,
        stderr: Option<impl AsyncRead + Unpin>,
    ) -> Result<(), String> {
        tokio::try_join!(
            read(stdout, |bytes| {
                self.stdout.extend_from_slice(bytes);
                match self.stdout.len() > LARGEST_OUTPUT {
                    true => Err(format!(
                        "printed more than {} KiB: it has to print the token alone",
                        LARGEST_OUTPUT >> 10
                    )),
                    false => Ok(()),
                }
            }),
            // All of it is read, so that the program does not wait for a reader.
            read(stderr, |bytes| {
                let left = LARGEST_ERROR.saturating_sub(self.stderr.len());
                self.stderr.extend_from_slice(&bytes[..bytes.len().min(left)]);
                Ok(())
            }),
        )?;
        Ok(())
    }

    fn into_token(self) -> Result<SecretString, String> {
        if self.status.success() {
            return token_in(&self.stdout);
        }
        let how = match (self.status.code(), self.status.signal()) {
            (Some(code), _) => format!("failed with exit code {code}"),
            (None, Some(signal)) => format!("was ended by signal {signal}"),
            (None, None) => "failed".to_owned(),
        };
        Err(match self.reason() {
            reason if reason.is_empty() => format!("{how}, without a message: run it by hand"),
            reason => format!("{how}: {reason}"),
        })
    }

    /// What the program wrote to stderr, in one line, without anything that it printed to stdout.
    fn reason(&self) -> String {
        let (stdout, stderr) = (
            String::from_utf8_lossy(&self.stdout),
            String::from_utf8_lossy(&self.stderr),
        );
        let plain = console::strip_ansi_codes(&stderr);
        let mut text = plain
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty())
            .collect::<Vec<_>>()
            .join("; ");
        for word in stdout.split(|c| !is_in_a_token(c)).filter(|word| word.len() >= 8) {
            text = text.replace(word, "[redacted]");
        }
        shown(&text)
    }
}

async fn read(
    pipe: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]) -> Result<(), String>,
) -> Result<(), String> {
    let Some(mut pipe) = pipe else { return Ok(()) };
    let mut buffer = [0; 4096];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) => return Ok(()),
            Ok(length) => take(&buffer[..length])?,
            Err(error) => return Err(format!("can't be read from: {error}")),
        }
    }
}

/// The token in the output: JSON with a field for it, or one line of text. No error quotes the output.
fn token_in(stdout: &[u8]) -> Result<SecretString, String> {
    let text = std::str::from_utf8(stdout).map_err(|_| "printed text that is not UTF-8".to_owned())?;
    let text = text.trim_start_matches('\u{feff}').trim();
    if text.is_empty() {
        return Err("printed nothing: it has to print the token to stdout".to_owned());
    }
    let token = match text.starts_with(['{', '"']) {
        true => token_in_json(text)?,
        false => text.to_owned(),
    };
    let lines = token.lines().count();
    if lines > 1 {
        return Err(format!(
            "printed {lines} lines: it has to print the token alone, or JSON with the field `token`"
        ));
    }
    match !token.is_empty() && token.chars().all(is_in_a_token) {
        true => Ok(token.into()),
        false => Err(
            "printed something other than a token, which has only letters, digits, '-', '.', '_', '~', '+', '/' and '='"
                .to_owned(),
        ),
    }
}

fn token_in_json(text: &str) -> Result<String, String> {
    let value = serde_json::from_str(text).map_err(|_| "printed damaged JSON".to_owned())?;
    let object = match value {
        Value::String(token) => return Ok(token),
        Value::Object(object) => object,
        _ => return Err("printed JSON that is not an object".to_owned()),
    };
    let found = TOKEN_FIELDS.iter().find_map(|field| object.get(*field)?.as_str());
    match found {
        Some(token) => Ok(token.trim().to_owned()),
        None if object.contains_key("key") && object.contains_key("email") => Err(
            "printed an API key instead of a token: create a token, or set CLOUDFLARE_EMAIL and CLOUDFLARE_API_KEY"
                .to_owned(),
        ),
        None => Err(format!(
            "printed a JSON object without a token: it has no text in any of the fields {}",
            TOKEN_FIELDS.join(", ")
        )),
    }
}

/// The alphabet of bearer tokens in RFC 6750. A token of `wrangler login` has dots.
fn is_in_a_token(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~+/=".contains(c)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn shell(script: &str) -> TokenCommand {
        TokenCommand {
            origin: "HERE".to_owned(),
            name: "`sh`".to_owned(),
            program: "/bin/sh".into(),
            args: vec!["-c".to_owned(), script.to_owned()],
            environment: vec![("PATH", "/usr/bin:/bin".into())],
        }
    }

    async fn printed(script: &str) -> Result<String, String> {
        let token = shell(script).run().await.map_err(|error| error.to_string())?;
        Ok(token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn a_token_is_printed_as_text_or_as_json() {
        for script in [
            "echo abc.d-e_f",
            "printf abc.d-e_f",
            "printf '\\n abc.d-e_f\\r\\n\\n'",
            r#"printf '\357\273\277abc.d-e_f'"#,
            r#"echo '{"type": "oauth", "token": "abc.d-e_f"}'"#,
            r#"printf '{\n  "type": "api_token",\n  "token": "abc.d-e_f"\n}\n'"#,
            r#"echo '{"id": "x", "value": "abc.d-e_f"}'"#,
            r#"echo '"abc.d-e_f"'"#,
            "echo Loading... >&2; echo abc.d-e_f",
            "echo abc.d-e_f; sleep 60 &",
        ] {
            assert_eq!(printed(script).await.as_deref(), Ok("abc.d-e_f"), "{script}");
        }
    }

    #[tokio::test]
    async fn what_is_not_a_token_is_refused_and_not_quoted() {
        for (script, problem) in [
            ("true", "printed nothing"),
            ("echo ' '", "printed nothing"),
            ("echo s3cr3t-1; echo s3cr3t-2", "printed 2 lines"),
            ("echo my s3cr3t", "printed something other than a token"),
            ("printf 's3cr3t\\033[2J'", "printed something other than a token"),
            ("printf '\\377\\376s3cr3t'", "printed text that is not UTF-8"),
            (r#"echo '{"token": "s3cr3t'"#, "printed damaged JSON"),
            (
                r#"echo '{"token": "s3cr3t a"}'"#,
                "printed something other than a token",
            ),
            (r#"echo '{"token": ""}'"#, "printed something other than a token"),
            (r#"echo '{"token": 12, "other": "s3cr3t"}'"#, "without a token"),
            (
                r#"echo '{"type": "api_key", "key": "s3cr3t", "email": "a@b"}'"#,
                "an API key instead",
            ),
            ("head -c 5000000 /dev/zero", "printed more than 64 KiB"),
            ("while :; do echo s3cr3t-token; done", "printed more than 64 KiB"),
            ("exit 7", "failed with exit code 7, without a message"),
            (
                "echo s3cr3t-token; echo no s3cr3t-token >&2; exit 1",
                "exit code 1: no [redacted]",
            ),
            (
                "printf 'a\\033[31mb\\n\\nc\\007' >&2; exit 3",
                "exit code 3: ab; c\\u{7}",
            ),
            ("head -c 5000000 /dev/zero >&2; exit 3", "exit code 3: "),
            ("kill -9 $$", "was ended by signal 9"),
        ] {
            let error = printed(script).await.unwrap_err();
            assert!(
                error.starts_with("HERE: `sh` ") && error.contains(problem),
                "{script}: {error}"
            );
            assert!(
                !error.contains("s3cr3t") && !error.contains(char::is_control) && error.len() < 5_000,
                "{error}"
            );
        }
        let absent = TokenCommand {
            program: "/no/such/program".into(),
            ..shell("")
        };
        assert!(absent.run().await.unwrap_err().to_string().contains("can't be started"));
    }

    /// The clock is paused: it jumps to the time limit as soon as nothing else happens.
    #[tokio::test(start_paused = true)]
    async fn a_program_that_hangs_is_ended_with_all_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pids = folder.path().join("pids");
        let script = format!(
            "sleep 1000 & echo $$ $! > {0}.new; mv {0}.new {0}; wait",
            pids.display()
        );
        let error = printed(&script).await.unwrap_err();
        assert!(error.contains("did not end within 30 s"), "{error}");
        // The clock may have jumped before the program wrote anything; then there is nothing to look for.
        for pid in std::fs::read_to_string(pids).unwrap_or_default().split_whitespace() {
            let until = std::time::Instant::now() + Duration::from_secs(10);
            let runs = || std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
            while runs() {
                assert!(std::time::Instant::now() < until, "{pid} still runs");
                std::thread::sleep(Duration::from_millis(20));
            }
        }
    }
}
