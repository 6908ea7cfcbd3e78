//! The operating system's users, and the one that runs the server. PostgreSQL refuses to run as root, so root runs the
//! server, and nothing else, as another user. Everyone else runs it as themselves.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::binaries::find_program;

/// A user with an entry in the system's user database; initdb fails for a user id that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OsUser {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// Environment variables that a program may need to run at all.
const PASSED_ON: [&str; 8] = [
    "PATH",
    "HOME",
    "USER",
    "LOGNAME",
    "TMPDIR",
    "TZ",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
];

impl OsUser {
    pub fn by_name(name: &str) -> Option<Self> {
        look_up(name, |user| user.name == name)
    }

    pub fn by_uid(uid: u32) -> Option<Self> {
        look_up(&uid.to_string(), |user| user.uid == uid)
    }
}

/// A user's name for messages.
pub(super) fn name_of(uid: u32) -> String {
    OsUser::by_uid(uid).map_or_else(|| format!("user id {uid}"), |user| user.name)
}

/// Reads `/etc/passwd` first, which every container has, then runs `getent`, which knows directories such as LDAP too.
fn look_up(key: &str, wanted: impl Fn(&OsUser) -> bool) -> Option<OsUser> {
    let file = fs::read("/etc/passwd").unwrap_or_default();
    find_in(&file, &wanted).or_else(|| {
        let answer = Command::new(find_program("getent")?)
            .arg("passwd")
            .arg(key)
            .env_clear()
            .stderr(Stdio::null())
            .output();
        find_in(&answer.ok()?.stdout, &wanted)
    })
}

fn find_in(passwd: &[u8], wanted: impl Fn(&OsUser) -> bool) -> Option<OsUser> {
    String::from_utf8_lossy(passwd)
        .lines()
        .filter_map(parse_line)
        .find(wanted)
}

fn parse_line(line: &str) -> Option<OsUser> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(OsUser { name, uid, gid })
}

/// The user that the server's programs run as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RunAs {
    /// The user of this program, unless that is root.
    Ourselves,
    /// This user, because this program runs as root.
    User(OsUser),
}

impl RunAs {
    pub fn uid(&self) -> u32 {
        match self {
            Self::Ourselves => rustix::process::geteuid().as_raw(),
            Self::User(user) => user.uid,
        }
    }

    /// The user's name for messages.
    pub fn name(&self) -> String {
        name_of(self.uid())
    }

    /// A command that runs as this user in `folder`, which must be one that the user can enter: the current folder and
    /// root's home may be closed to them.
    ///
    /// It gets only the environment that a program needs to run. Tokens and database URLs must not reach a server that
    /// another user may run, settings for clients and other servers would mislead it, and with a service manager's
    /// socket it could be mistaken for the service.
    pub fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).env_clear();
        command.envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        // The messages are parsed here, and this locale exists on every system.
        command.env("LC_ALL", "C");
        if let Self::User(user) = self {
            // Setting the user also drops root's supplementary groups.
            command.uid(user.uid).gid(user.gid).env("HOME", folder);
        }
        command
    }

    /// Fails if this user can't make `folder` its working folder. Tries it instead of reading the mode bits, which do
    /// not show access control lists.
    pub fn enter(&self, folder: &Path) -> io::Result<()> {
        self.command(Path::new("/bin/sh"), folder)
            .args(["-c", ":"])
            .status()
            .map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found_by_name_and_by_id() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let postgres = OsUser {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        assert_eq!(find_in(passwd, |a| a.name == "postgres"), Some(postgres.clone()));
        assert_eq!(find_in(passwd, |a| a.uid == 101), Some(postgres));
        assert_eq!(find_in(passwd, |a| a.uid == 7), None);
    }
}
