//! The private server ends while a run uses it: the run starts it again once, and gives up at once where that fails.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Hold, Simulator};
use rustix::process::geteuid;
use sqlx::{Connection, Executor, PgConnection};

use crate::support::private::Data;
use crate::support::program::{ACCOUNT, Ended, run, simulator, sync_to};

/// Far less than `--retry-for`, which is 15 minutes.
const PROMPT: Duration = Duration::from_secs(30);

/// A first walk of ten pages on a private server.
struct Walk {
    data: Data,
    simulator: Simulator,
    namespace: String,
}

impl Walk {
    async fn new() -> Self {
        let (data, simulator) = (Data::new(), simulator().await);
        let namespace = simulator.add_namespace(ACCOUNT, "room");
        simulator.seed(&namespace, 1_000, 1);
        Self {
            data,
            simulator,
            namespace,
        }
    }

    fn sync(&self) -> Command {
        let dir = self.data.dir.to_str().unwrap();
        let mut command = sync_to(&self.simulator, "", &["--limit", "100", "--data-dir", dir]);
        command.env_remove("DATABASE_URL");
        command
    }

    /// Starts a run that waits for its third page.
    async fn until_held(&self) -> (Child, Hold) {
        let hold = self.simulator.hold_at(&self.namespace, 3);
        let program = self.sync().spawn().unwrap();
        hold.wait_until_held().await;
        (program, hold)
    }

    /// The run ends soon, with the reason and the place of the log.
    fn gives_up(&self, program: Child, reason: &str) {
        let begun = Instant::now();
        let ended = Ended::from(program.wait_with_output().unwrap());
        assert!(begun.elapsed() < PROMPT, "{:?}: {ended:#?}", begun.elapsed());
        assert_eq!(ended.code, Some(1), "{ended:#?}");
        let namespace = &ended.json()["namespaces"][0];
        assert_eq!(namespace["status"], "interrupted");
        let why = namespace["error"].as_str().unwrap();
        let log = self.data.dir.join("server.log");
        assert!(
            why.contains(reason) && why.contains(log.to_str().unwrap()),
            "{ended:#?}"
        );
    }

    fn completes(&self, program: Child) -> Ended {
        let ended = Ended::from(program.wait_with_output().unwrap());
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["objects"], 1_000);
        ended
    }
}

#[tokio::test]
async fn a_server_that_is_killed_is_started_again_and_the_run_completes() {
    let walk = Walk::new().await;
    let (program, hold) = walk.until_held().await;
    walk.data.kill_server();
    hold.release();
    let ended = walk.completes(program);
    assert!(ended.stderr.contains("restarting it"), "{ended:#?}");
    assert!(!walk.data.is_running());
}

#[tokio::test]
async fn a_server_that_ends_twice_ends_the_run() {
    let walk = Walk::new().await;
    let (program, hold) = walk.until_held().await;
    let second = walk.simulator.hold_at(&walk.namespace, 6);
    walk.data.kill_server();
    hold.release();
    second.wait_until_held().await;
    walk.data.kill_server();
    second.release();
    walk.gives_up(program, "stopped again after a restart");
    walk.completes(walk.sync().spawn().unwrap());
}

#[tokio::test]
async fn a_server_that_can_not_be_started_again_ends_the_run_with_its_reason() {
    let walk = Walk::new().await;
    let (program, hold) = walk.until_held().await;
    let control = walk.data.dir.join("postgres/global/pg_control");
    let whole = fs::read(&control).unwrap();
    // A running server only writes it.
    fs::write(&control, vec![0; whole.len()]).unwrap();
    walk.data.kill_server();
    hold.release();
    walk.gives_up(program, "PG_CONTROL_VERSION 0");
    fs::write(&control, whole).unwrap();
    walk.completes(walk.sync().spawn().unwrap());
}

/// A small file system of its own, in a folder of the test.
struct SmallDisk<'a>(&'a Path);

impl<'a> SmallDisk<'a> {
    /// `None` where the test may not mount one.
    fn mount(folder: &'a Path) -> Option<Self> {
        fs::create_dir(folder).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=96m", "tmpfs"]).arg(folder);
        run_quietly(mount).then_some(Self(folder))
    }

    /// Leaves room for the log, but not for 16 MB of WAL.
    fn fill(&self) {
        use std::io::Write;

        let mut filler = fs::File::create(self.0.join("postgres/filler")).unwrap();
        let mut length = 0;
        while let Ok(written) = filler.write(&[0; 65_536]) {
            length += written as u64;
        }
        filler.set_len(length - 500_000).unwrap();
    }

    fn free(&self) {
        fs::remove_file(self.0.join("postgres/filler")).unwrap();
    }
}

impl Drop for SmallDisk<'_> {
    fn drop(&mut self) {
        let mut unmount = Command::new("umount");
        unmount.arg("-l").arg(self.0);
        run_quietly(unmount);
    }
}

fn run_quietly(mut command: Command) -> bool {
    command.output().is_ok_and(|output| output.status.success())
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
#[tokio::test]
async fn a_full_disk_ends_the_run_with_the_reason_and_the_next_one_completes() {
    let walk = Walk::new().await;
    if !geteuid().is_root() {
        return eprintln!("not run: only root mounts a small disk");
    }
    let Some(disk) = SmallDisk::mount(&walk.data.dir) else {
        return eprintln!("not run: root may not mount a small disk here");
    };
    let (program, hold) = walk.until_held().await;
    disk.fill();
    // Each switch needs a new file of WAL.
    let server = walk.data.join().await;
    let mut session = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let write = "select txid_current(); select pg_switch_wal()";
    while session.execute(write).await.is_ok() {}
    drop(server);
    hold.release();
    walk.gives_up(program, "No space left on device");
    disk.free();
    let ended = run(walk.sync());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
}
