//! Who runs the server. PostgreSQL refuses to run as root, so root hands the server, and the server alone, to another
//! account; everyone else runs it as themselves.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use super::programs::find_program;

/// A user of the system. Only users that have an account can run a server: initdb fails for a bare user id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

/// What a program may need of the environment to run at all.
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

impl Account {
    pub fn by_name(name: &str) -> Option<Self> {
        look_up(name, |account| account.name == name)
    }

    pub fn by_uid(uid: u32) -> Option<Self> {
        look_up(&uid.to_string(), |account| account.uid == uid)
    }
}

/// For messages.
pub(super) fn name_of(uid: u32) -> String {
    Account::by_uid(uid).map_or_else(|| format!("user id {uid}"), |account| account.name)
}

/// Asks the file first, which every container has, and then `getent`, which knows directories such as LDAP too.
fn look_up(key: &str, wanted: impl Fn(&Account) -> bool) -> Option<Account> {
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

fn find_in(passwd: &[u8], wanted: impl Fn(&Account) -> bool) -> Option<Account> {
    String::from_utf8_lossy(passwd)
        .lines()
        .filter_map(parse_line)
        .find(wanted)
}

fn parse_line(line: &str) -> Option<Account> {
    let mut fields = line.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(Account { name, uid, gid })
}

/// The user as whom the server's programs run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Runner {
    /// The ordinary case: whoever runs this program runs the server.
    Ourselves,
    /// This program is root's, and the server is this account's.
    Account(Account),
}

impl Runner {
    pub fn uid(&self) -> u32 {
        match self {
            Self::Ourselves => rustix::process::geteuid().as_raw(),
            Self::Account(account) => account.uid,
        }
    }

    /// For messages.
    pub fn name(&self) -> String {
        name_of(self.uid())
    }

    /// A command that runs as this user in `folder`, which the user can reach: the folder and the home of who started
    /// this program may be closed to them. Of the environment it gets what a program needs to run: tokens and database
    /// URLs are not for a server that another user may run, settings of clients and other servers would mislead it,
    /// and a service manager that is told about it would take it for the service.
    pub fn command(&self, program: &Path, folder: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(folder).stdin(Stdio::null()).env_clear();
        command.envs(
            PASSED_ON
                .iter()
                .filter_map(|name| Some((name, std::env::var_os(name)?))),
        );
        // Messages that are read here, and a locale that exists on every system.
        command.env("LC_ALL", "C");
        if let Self::Account(account) = self {
            // Setting the user also drops root's supplementary groups.
            command.uid(account.uid).gid(account.gid).env("HOME", folder);
        }
        command
    }

    /// Fails where this user can't make `folder` its working folder. The kernel is asked rather than the mode bits,
    /// which do not tell of access lists.
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
    fn accounts_are_found_by_name_and_by_id() {
        let passwd = b"root:x:0:0:root:/root:/bin/sh\nbroken\npostgres:x:101:104:,,,:/var/lib/postgresql:/bin/bash\n";
        let postgres = Account {
            name: "postgres".to_owned(),
            uid: 101,
            gid: 104,
        };
        assert_eq!(find_in(passwd, |a| a.name == "postgres"), Some(postgres.clone()));
        assert_eq!(find_in(passwd, |a| a.uid == 101), Some(postgres));
        assert_eq!(find_in(passwd, |a| a.uid == 7), None);
    }
}
