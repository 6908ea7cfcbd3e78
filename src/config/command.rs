//! The programs that print tokens: what they are started with.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Settings;
use super::environment::Environment;
use super::error::{ConfigError, Origin};
use super::exposed::is_open;
use crate::cloudflare::PrintedToken;
use crate::text::may_hold_a_secret;
use crate::token_command::TokenCommand;

pub(super) const VARIABLE: &str = "CLOUDFLARE_API_TOKEN_COMMAND";

/// The whole environment of such a program: what wrangler and password managers need to find their files, their agents
/// and the network, and the sessions of 1Password, Bitwarden and Vault. Neither Cloudflare's variables nor the database.
const ENVIRONMENT: [&str; 49] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "SHELL",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TERM",
    "TMPDIR",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_DIRS",
    "XDG_CONFIG_HOME",
    "XDG_DATA_DIRS",
    "XDG_DATA_HOME",
    "XDG_RUNTIME_DIR",
    "XDG_STATE_HOME",
    "CREDENTIALS_DIRECTORY",
    "DBUS_SESSION_BUS_ADDRESS",
    "DISPLAY",
    "WAYLAND_DISPLAY",
    "XAUTHORITY",
    "SSH_AUTH_SOCK",
    "GPG_TTY",
    "GNUPGHOME",
    "PASSWORD_STORE_DIR",
    "OP_ACCOUNT",
    "OP_CONNECT_HOST",
    "OP_CONNECT_TOKEN",
    "OP_SERVICE_ACCOUNT_TOKEN",
    "BW_SESSION",
    "BITWARDENCLI_APPDATA_DIR",
    "VAULT_ADDR",
    "VAULT_CACERT",
    "VAULT_NAMESPACE",
    "VAULT_TOKEN",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "https_proxy",
    "http_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "NODE_EXTRA_CA_CERTS",
    "VOLTA_HOME",
];

/// Others must not be able to change what runs.
const WRITTEN: u32 = 0o022;

/// A program with its arguments, as it is written somewhere. No shell sees them.
pub(super) struct GivenCommand {
    pub origin: Origin,
    words: Vec<String>,
    /// The folder of the configuration file, in which relative paths begin.
    base: PathBuf,
}

impl Environment<'_> {
    pub(super) fn command(&self) -> Result<Option<GivenCommand>, ConfigError> {
        let Some(text) = self.text(VARIABLE)? else {
            return Ok(None);
        };
        let origin = Origin::variable(VARIABLE);
        let Some(words) = words(&text) else {
            return Err(ConfigError::UnclosedQuote { origin });
        };
        GivenCommand::new(origin, words, PathBuf::new()).map(Some)
    }
}

impl GivenCommand {
    /// The program that a configuration file names. It must not be a file that others can change.
    pub fn of_file(origin: Origin, file: &Path, words: &[String]) -> Result<Self, ConfigError> {
        if file.canonicalize().is_ok_and(|path| is_open(&path, WRITTEN)) {
            return Err(ConfigError::CommandOfOthers {
                origin,
                file: file.to_owned(),
            });
        }
        let base = file.parent().unwrap_or(Path::new(""));
        Self::new(origin, words.to_vec(), base.to_owned())
    }

    fn new(origin: Origin, words: Vec<String>, base: PathBuf) -> Result<Self, ConfigError> {
        let is_empty = words.first().is_none_or(|program| program.trim().is_empty());
        if is_empty || words.iter().any(|word| word.contains('\0')) {
            return Err(ConfigError::NoProgram { origin });
        }
        Ok(Self { origin, words, base })
    }
}

impl Settings<'_> {
    /// The token that this program prints. The same program is run once for all accounts that name it.
    pub(super) fn printed_token(&self, given: GivenCommand) -> Arc<PrintedToken> {
        let GivenCommand { origin, words, base } = given;
        let mut known = self.printed_tokens.borrow_mut();
        if let Some((_, token)) = known.iter().find(|(known, _)| *known == words) {
            return token.clone();
        }
        let own = |name: &&str| !self.file.variables().any(|secret| secret == *name);
        let environment = ENVIRONMENT.into_iter().filter(own);
        let environment = environment.filter_map(|name| Some((name, self.environment.even_empty(name)?)));
        let token = Arc::new(PrintedToken::new(TokenCommand {
            origin: origin.to_string(),
            name: printable(&words),
            program: program(&words[0], &base),
            args: words[1..].to_vec(),
            environment: environment.collect(),
        }));
        known.push((words, token.clone()));
        token
    }
}

/// A name without a slash is looked for in PATH.
fn program(name: &str, base: &Path) -> OsString {
    match name.contains('/') {
        true => base.join(name).into_os_string(),
        false => name.into(),
    }
}

/// The program's name if it can't be a misplaced token itself. Tokens have 40 characters and more.
fn printable(words: &[String]) -> String {
    let name = &words[0];
    let is_plain = name.len() <= 24 || name.contains('/');
    match is_plain && !may_hold_a_secret(name) {
        true => format!("`{name}`"),
        false => "the program that it names".to_owned(),
    }
}

/// The words of a command line, as a shell splits it, but nothing is substituted. `None` if a quotation mark is not
/// closed or a backslash escapes nothing.
fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match c {
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            '\'' => {
                let (quoted, rest) = chars.as_str().split_once('\'')?;
                word.get_or_insert_default().push_str(quoted);
                chars = rest.chars();
            }
            '"' => {
                let word = word.get_or_insert_default();
                loop {
                    match chars.next()? {
                        '"' => break,
                        '\\' => match chars.next()? {
                            c @ ('"' | '\\' | '$' | '`') => word.push(c),
                            c => word.extend(['\\', c]),
                        },
                        c => word.push(c),
                    }
                }
            }
            '\\' => word.get_or_insert_default().push(chars.next()?),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    Some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_split_as_by_a_shell() {
        let cases: [(&str, &[&str]); 9] = [
            ("wrangler auth token --json", &["wrangler", "auth", "token", "--json"]),
            (" a\t b\n", &["a", "b"]),
            ("", &[]),
            ("a ''", &["a", ""]),
            ("op read 'op://My Vault/x y'", &["op", "read", "op://My Vault/x y"]),
            (r#"a "b \"c\" \\ \$d \e" f\ g"#, &["a", r#"b "c" \ $d \e"#, "f g"]),
            (r#"a'b'"c"d"#, &["abcd"]),
            ("'it'\\''s'", &["it's"]),
            ("a $HOME `b` | c; #d", &["a", "$HOME", "`b`", "|", "c;", "#d"]),
        ];
        for (line, expected) in cases {
            assert_eq!(words(line).unwrap(), expected, "{line}");
        }
        for open in ["'a", "a \"b", "a\\", "\"a\\", "'a'\""] {
            assert_eq!(words(open), None, "{open}");
        }
    }
}
