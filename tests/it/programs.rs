//! Lookup of external programs: root runs none that another user could have placed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::support::database::fresh_database;
use crate::support::private::Data;
use crate::support::program::{Ended, bare, run};

/// An ordinary user id, which needs no account.
const SOMEONE: u32 = 12_345;
const PROGRAMS: [&str; 4] = ["postgres", "initdb", "psql", "getent"];

/// Programs that leave a mark when they run.
struct Planted {
    _folder: TempDir,
    bin: PathBuf,
    mark: PathBuf,
}

impl Planted {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("planted-").tempdir_in("/tmp").unwrap();
        let (bin, mark) = (folder.path().join("bin"), folder.path().join("mark"));
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        fs::create_dir(&bin).unwrap();
        fs::create_dir(&mark).unwrap();
        // Any user that runs them can leave a mark.
        fs::set_permissions(&mark, Permissions::from_mode(0o777)).unwrap();
        for name in PROGRAMS {
            let script = format!(
                "#!/bin/sh\ntouch {}/{name}\necho 'postgres (PostgreSQL) 99.1'\n",
                mark.display()
            );
            fs::write(bin.join(name), script).unwrap();
            fs::set_permissions(bin.join(name), Permissions::from_mode(0o755)).unwrap();
        }
        Self {
            _folder: folder,
            bin,
            mark,
        }
    }

    fn ran(&self) -> Vec<String> {
        let names = fs::read_dir(&self.mark).unwrap();
        names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    fn path(&self) -> String {
        format!("{}:/usr/bin:/bin", self.bin.display())
    }
}

fn give_away(path: &Path) {
    chown(path, Some(SOMEONE), Some(SOMEONE)).unwrap();
}

/// A way for another user to determine which program runs.
type Way = (&'static str, fn(&Planted));

fn ways() -> Vec<Way> {
    vec![
        ("the folder is theirs", |planted| give_away(&planted.bin)),
        ("the programs are theirs", |planted| {
            PROGRAMS.iter().for_each(|name| give_away(&planted.bin.join(name)));
        }),
        ("a folder above is theirs", |planted| {
            give_away(planted.bin.parent().unwrap())
        }),
        ("everyone may write the folder", |planted| {
            fs::set_permissions(&planted.bin, Permissions::from_mode(0o777)).unwrap();
        }),
        ("a group may write the folder", |planted| {
            chown(&planted.bin, Some(0), Some(SOMEONE)).unwrap();
            fs::set_permissions(&planted.bin, Permissions::from_mode(0o775)).unwrap();
        }),
        ("everyone may write the programs", |planted| {
            for name in PROGRAMS {
                fs::set_permissions(planted.bin.join(name), Permissions::from_mode(0o777)).unwrap();
            }
        }),
        ("links lead to theirs", |planted| {
            let theirs = planted.bin.with_file_name("theirs");
            fs::rename(&planted.bin, &theirs).unwrap();
            fs::create_dir(&planted.bin).unwrap();
            PROGRAMS
                .iter()
                .for_each(|name| symlink(theirs.join(name), planted.bin.join(name)).unwrap());
            give_away(&theirs);
        }),
    ]
}

/// Root does not run such a program even to read its version.
#[tokio::test]
async fn root_runs_no_program_of_somebody_else() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let database = fresh_database().await;
    for (way, make) in ways() {
        let planted = Planted::new();
        make(&planted);
        let data = Data::new();
        let mut private = bare(&["namespaces", "--data-dir"]);
        private.arg(&data.dir).env("PATH", planted.path());
        let ended = run(private);
        assert_eq!(planted.ran(), Vec::<String>::new(), "{way}: {ended:#?}");
        assert_eq!(ended.code, Some(0), "the system's own is used: {way}: {ended:#?}");
        let mut psql = bare(&["psql", "-Atc", "select 7"]);
        psql.env("PATH", planted.path()).env("DATABASE_URL", database.url());
        let ended = run(psql);
        assert_eq!(planted.ran(), Vec::<String>::new(), "{way}: {ended:#?}");
        assert_eq!(ended.stdout, "7\n", "{way}: {ended:#?}");
    }
}

/// The owner of the folder has no account. Its lookup uses a system program.
#[tokio::test]
async fn root_asks_no_program_of_somebody_else_for_users() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let planted = Planted::new();
    give_away(&planted.bin);
    let data = Data::new();
    fs::create_dir(&data.dir).unwrap();
    give_away(&data.dir);
    let mut command = bare(&["migrate", "--data-dir"]);
    command.arg(&data.dir).env("PATH", planted.path());
    let ended: Ended = run(command);
    assert_eq!(planted.ran(), Vec::<String>::new(), "{ended:#?}");
    assert_ne!(ended.code, Some(0), "{ended:#?}");
}

/// The user who names a folder vouches for its contents.
#[tokio::test]
async fn a_folder_that_is_named_is_used() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let (database, planted) = (fresh_database().await, Planted::new());
    give_away(&planted.bin);
    let mut psql = bare(&["psql", "--postgres-bin"]);
    psql.arg(&planted.bin).args(["--", "-c", "select 7"]);
    psql.env("DATABASE_URL", database.url());
    let ended = run(psql);
    assert_eq!(planted.ran(), ["psql"], "{ended:#?}");
}
