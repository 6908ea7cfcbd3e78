//! A pooler between the program and its database. In transaction mode session locks would be ineffective, which the
//! program detects.

use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{Connection, Executor, PgConnection, Row};
use tempfile::TempDir;

use crate::support::database::{TestDatabase, fresh_database};
use crate::support::program::{ACCOUNT, run, simulator, sync};

struct Pooler {
    child: Child,
    url: String,
    _folder: TempDir,
}

impl Drop for Pooler {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

async fn pooler(database: &TestDatabase, mode: &str) -> Pooler {
    let folder = tempfile::Builder::new()
        .prefix("pooler-")
        .permissions(std::fs::Permissions::from_mode(0o755))
        .tempdir_in("/tmp")
        .unwrap();
    let socket = database.options.get_socket().unwrap();
    // pgbouncer refuses to run as root, and only the server's user can open the server's socket.
    let owner = std::fs::metadata(socket).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let configuration = folder.path().join("pgbouncer.ini");
    std::fs::write(&configuration, ini(database, socket, mode, port)).unwrap();
    for path in [folder.path(), &configuration] {
        chown(path, Some(owner.uid()), Some(owner.gid())).unwrap();
    }
    let mut command = Command::new(program());
    command
        .arg(&configuration)
        .current_dir(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    if rustix::process::geteuid().is_root() {
        command.uid(owner.uid()).gid(owner.gid());
    }
    let name = database.options.get_database().unwrap();
    let user = database.options.get_username();
    let mut pooler = Pooler {
        child: command.spawn().unwrap(),
        url: format!("postgres://{user}@127.0.0.1:{port}/{name}?sslmode=disable"),
        _folder: folder,
    };
    let deadline = Instant::now() + Duration::from_secs(20);
    while PgConnection::connect(&pooler.url).await.is_err() {
        assert!(pooler.child.try_wait().unwrap().is_none(), "the pooler ended");
        assert!(Instant::now() < deadline, "the pooler does not answer");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    pooler
}

/// Debian installs it in a folder that only root's PATH contains.
fn program() -> &'static str {
    let debians = "/usr/sbin/pgbouncer";
    if Path::new(debians).exists() {
        debians
    } else {
        "pgbouncer"
    }
}

fn ini(database: &TestDatabase, socket: &Path, mode: &str, port: u16) -> String {
    format!(
        "[databases]\n* = host={} port={} user={}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
         unix_socket_dir =\nauth_type = any\npool_mode = {mode}\ndefault_pool_size = 20\n\
         ignore_startup_parameters = extra_float_digits\n",
        socket.display(),
        database.options.get_port(),
        database.options.get_username(),
    )
}

#[tokio::test]
#[ignore = "needs pgbouncer: scripts/test --all"]
async fn transaction_mode_is_refused() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    simulator.seed(&chat, 50, 1);
    let pooler = pooler(&database, "transaction").await;
    let mut command = sync(&simulator, &database, &[]);
    command.env("DATABASE_URL", &pooler.url);
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(
        ended.stderr.contains("through a pooler in transaction mode"),
        "{ended:#?}"
    );
    assert_eq!(simulator.requests().len(), 0, "it is noticed before anything is asked");
    // The pooler gives the same sessions to its other clients.
    let mut client = PgConnection::connect(&pooler.url).await.unwrap();
    let row = client.fetch_one("show search_path").await.unwrap();
    assert_eq!(row.get::<&str, _>(0), "\"$user\", public");
}

#[tokio::test]
#[ignore = "needs pgbouncer: scripts/test --all"]
async fn session_mode_works() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let chat = simulator.add_namespace(ACCOUNT, "chat");
    simulator.seed(&chat, 50, 1);
    let pooler = pooler(&database, "session").await;
    for _ in 0..2 {
        let mut command = sync(&simulator, &database, &["--limit", "10"]);
        command.env("DATABASE_URL", &pooler.url);
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{ended:#?}");
        assert_eq!(ended.json()["namespaces"][0]["objects"], 50);
    }
}
