//! The private server is there when it is needed, is shared, ends with its last user, and loses nothing that was
//! committed, whoever is killed.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use durable_inventory::store::private::{Error, PrivateServer, Settings};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{Connection, PgConnection, Row};
use tempfile::TempDir;

/// A data folder that does not exist yet, under a folder that the server's user can pass. It is removed at the end.
struct Data {
    parent: TempDir,
    dir: PathBuf,
}

impl Data {
    fn new() -> Self {
        let parent = tempfile::Builder::new()
            .prefix("private-server-")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o711)).unwrap();
        let dir = parent.path().join("data");
        Self { parent, dir }
    }

    fn settings(&self) -> Settings {
        Settings {
            data_dir: Some(self.dir.clone()),
            ..Settings::default()
        }
    }

    async fn join(&self) -> PrivateServer {
        PrivateServer::join(&self.settings()).await.unwrap()
    }

    async fn refusal(&self) -> Error {
        PrivateServer::join(&self.settings()).await.unwrap_err()
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.join("postgres/postmaster.pid")
    }

    fn is_running(&self) -> bool {
        self.pid_file().exists()
    }

    fn server_pid(&self) -> Pid {
        let text = fs::read_to_string(self.pid_file()).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    fn kill_server(&self) {
        kill_process(self.server_pid(), Signal::KILL).unwrap();
    }
}

async fn execute(server: &PrivateServer, sql: &'static str) {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

async fn number(server: &PrivateServer, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}

const COMMIT: &str = "CREATE TABLE kept AS SELECT 7::bigint AS n";
const COMMITTED: &str = "SELECT n FROM kept";

/// An account that every system has.
const NOBODY: u32 = 65534;

const HOLDER_DATA: &str = "TEST_HOLDER_DATA_DIR";

/// Not a test: the body of another program that uses the server until its standard input ends.
#[tokio::test]
#[ignore = "runs as the second process of other tests"]
async fn holder() {
    let Some(dir) = std::env::var_os(HOLDER_DATA) else {
        return;
    };
    let settings = Settings {
        data_dir: Some(dir.into()),
        ..Settings::default()
    };
    let server = PrivateServer::join(&settings).await.unwrap();
    execute(&server, "CREATE TABLE IF NOT EXISTS held ()").await;
    fs::write(settings.data_dir.unwrap().join("holder.ready"), "").unwrap();
    std::io::stdin().lock().read_line(&mut String::new()).unwrap();
    server.leave().await.unwrap();
}

/// Starts another program and waits until it uses the server.
fn spawn_holder(data: &Data) -> Child {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "private_server::holder", "--ignored", "--nocapture"])
        .env(HOLDER_DATA, &data.dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !data.dir.join("holder.ready").exists() {
        let status = child.try_wait().unwrap();
        if status.is_some() || Instant::now() > deadline {
            let lines: Vec<_> = BufReader::new(child.stdout.take().unwrap())
                .lines()
                .map_while(Result::ok)
                .collect();
            panic!("the other program does not use the server: {lines:?}");
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    child
}

#[tokio::test]
async fn the_first_start_creates_a_database_that_the_next_finds() {
    let data = Data::new();
    let server = data.join().await;
    execute(&server, COMMIT).await;
    assert_eq!(fs::metadata(&data.dir).unwrap().mode() & 0o777, 0o700);
    assert!(data.dir.join("run/.s.PGSQL.5432").exists());
    assert!(server.bin_dir().join("postgres").exists());
    server.leave().await.unwrap();
    assert!(!data.is_running());

    let server = data.join().await;
    assert_eq!(number(&server, COMMITTED).await, 7);
    assert_eq!(
        number(&server, "SELECT current_setting('fsync')::bool::int::bigint").await,
        1
    );
    assert_eq!(
        number(&server, "SELECT length(current_setting('listen_addresses'))::bigint").await,
        0
    );
    server.leave().await.unwrap();
}

#[tokio::test]
async fn the_last_to_leave_stops_the_server() {
    let data = Data::new();
    let starter = data.join().await;
    let sharer = data.join().await;
    starter.leave().await.unwrap();
    assert_eq!(number(&sharer, "SELECT 1::bigint").await, 1);
    sharer.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn programs_that_start_at_the_same_time_share_one_server() {
    let data = Data::new();
    let servers = futures_util::future::join_all((0..4).map(|_| data.join())).await;
    let pid = data.server_pid();
    for server in &servers {
        assert_eq!(number(server, "SELECT 1::bigint").await, 1);
    }
    assert_eq!(pid, data.server_pid());
    let left = futures_util::future::join_all(servers.into_iter().map(PrivateServer::leave)).await;
    assert!(left.into_iter().all(|result| result.is_ok()));
    assert!(!data.is_running());
}

#[tokio::test]
async fn another_program_keeps_the_server_running() {
    let data = Data::new();
    let mut other = spawn_holder(&data);
    let server = data.join().await;
    let pid = data.server_pid();
    server.leave().await.unwrap();
    assert_eq!(pid, data.server_pid());
    drop(other.stdin.take());
    assert!(other.wait().unwrap().success());
    assert!(!data.is_running());
}

#[tokio::test]
async fn the_server_of_a_killed_program_is_used_and_then_stopped() {
    let data = Data::new();
    let mut other = spawn_holder(&data);
    let pid = data.server_pid();
    other.kill().unwrap();
    other.wait().unwrap();
    assert!(data.is_running());

    let server = data.join().await;
    assert_eq!(pid, data.server_pid());
    assert_eq!(number(&server, "SELECT count(*) FROM held").await, 0);
    server.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_place_that_was_dropped_is_no_users() {
    let data = Data::new();
    drop(data.join().await);
    assert!(data.is_running());
    data.join().await.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_killed_server_is_started_again_and_nothing_is_lost() {
    let data = Data::new();
    let first = data.join().await;
    execute(&first, COMMIT).await;
    // Nobody waits for the killed process, so it stays as a zombie.
    data.kill_server();

    let second = data.join().await;
    assert_eq!(number(&second, COMMITTED).await, 7);
    assert_eq!(number(&first, COMMITTED).await, 7);
    first.leave().await.unwrap();
    assert_eq!(number(&second, COMMITTED).await, 7);
    second.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_start_waits_for_the_processes_of_a_killed_server() {
    let data = Data::new();
    let first = data.join().await;
    execute(&first, COMMIT).await;
    let mut busy = PgConnection::connect_with(&first.connect_options()).await.unwrap();
    // It computes without ever waiting, and so does not see that its server is gone.
    let query = sqlx::raw_sql("SELECT sum(i) FROM generate_series(1, 8000000) AS i").execute(&mut busy);
    let killed = async {
        let active =
            "SELECT count(*) FROM pg_stat_activity WHERE state = 'active' AND query LIKE '%generate_series(1, 8%'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while number(&first, active).await < 2 {
            assert!(Instant::now() < deadline, "the query does not run");
        }
        data.kill_server();
        data.join().await
    };
    let (_, second) = tokio::join!(query, killed);
    assert_eq!(number(&second, COMMITTED).await, 7);
    drop(first);
    second.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn a_pid_file_of_another_process_is_stale() {
    let data = Data::new();
    let server = data.join().await;
    execute(&server, COMMIT).await;
    let pid_file = fs::read_to_string(data.pid_file()).unwrap();
    server.leave().await.unwrap();
    let mut stranger = Command::new("sleep").arg("600").spawn().unwrap();
    let (_, rest) = pid_file.split_once('\n').unwrap();
    fs::write(data.pid_file(), format!("{}\n{rest}", stranger.id())).unwrap();

    let server = data.join().await;
    assert_eq!(number(&server, COMMITTED).await, 7);
    server.leave().await.unwrap();
    assert!(stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[tokio::test]
async fn an_empty_pid_file_is_a_crashs() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    fs::write(data.pid_file(), "").unwrap();
    data.join().await.leave().await.unwrap();
    assert!(!data.is_running());
}

#[tokio::test]
async fn what_a_killed_initdb_left_is_removed() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    fs::remove_dir_all(data.dir.join("postgres")).unwrap();
    let leftover = data.dir.join("postgres.new.1");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join("PG_VERSION"), "15\n").unwrap();

    let server = data.join().await;
    assert!(!leftover.exists());
    server.leave().await.unwrap();
}

#[tokio::test]
async fn a_long_path_has_its_socket_elsewhere() {
    let mut data = Data::new();
    data.dir = data.parent.path().join("d".repeat(60)).join("e".repeat(60));
    let server = data.join().await;
    let socket = server.connect_options().get_socket().unwrap().clone();
    assert!(!socket.starts_with(&data.dir));
    assert_eq!(fs::metadata(&socket).unwrap().mode() & 0o777, 0o700);
    assert_eq!(number(&server, "SELECT 1::bigint").await, 1);
    let sharer = data.join().await;
    server.leave().await.unwrap();
    sharer.leave().await.unwrap();
    assert!(!socket.exists());
}

#[tokio::test]
async fn a_path_may_hold_any_characters() {
    let mut data = Data::new();
    data.dir = data.parent.path().join("it's, \"our\" data");
    let server = data.join().await;
    assert_eq!(number(&server, "SELECT 1::bigint").await, 1);
    server.leave().await.unwrap();
}

/// `mktemp -d` makes such a parent. It stops the server's user only where that is another one.
#[tokio::test]
async fn a_closed_parent_is_named() {
    let mut data = Data::new();
    let closed = data.parent.path().join("closed");
    fs::create_dir(&closed).unwrap();
    fs::set_permissions(&closed, Permissions::from_mode(0o700)).unwrap();
    data.dir = closed.join("below/data");
    if geteuid().is_root() {
        let refused = data.refusal().await;
        assert!(
            matches!(&refused, Error::Unreachable { parent, .. } if *parent == closed),
            "{refused}"
        );
        assert!(
            refused
                .to_string()
                .contains(&format!("can't enter {}:", closed.display()))
        );
        assert!(!closed.join("below").exists());
    } else {
        data.join().await.leave().await.unwrap();
    }
}

/// A folder that `mktemp -d` made may be the data folder itself.
#[tokio::test]
async fn a_closed_empty_folder_becomes_the_servers() {
    let data = Data::new();
    fs::create_dir(&data.dir).unwrap();
    fs::set_permissions(&data.dir, Permissions::from_mode(0o755)).unwrap();
    data.join().await.leave().await.unwrap();
    assert_eq!(fs::metadata(&data.dir).unwrap().mode() & 0o777, 0o700);
}

#[tokio::test]
async fn a_folder_keeps_its_owner() {
    let data = Data::new();
    fs::create_dir(&data.dir).unwrap();
    let mut settings = data.settings();
    if !geteuid().is_root() {
        settings.postgres_user = Some("root".to_owned());
        let refused = PrivateServer::join(&settings).await.unwrap_err();
        assert!(matches!(refused, Error::UserNeedsRoot(_)), "{refused}");
        return;
    }
    let owner = NOBODY;
    chown(&data.dir, Some(owner), None).unwrap();
    data.join().await.leave().await.unwrap();
    for name in ["", "postgres", "start.lock", "users.lock", "server.log", "run"] {
        assert_eq!(fs::metadata(data.dir.join(name)).unwrap().uid(), owner, "{name}");
    }
    settings.postgres_user = Some("postgres".to_owned());
    let refused = PrivateServer::join(&settings).await.unwrap_err();
    assert!(matches!(refused, Error::UserIsNotOwner { .. }), "{refused}");
}

#[tokio::test]
async fn a_folder_of_other_files_is_refused() {
    let data = Data::new();
    fs::create_dir(&data.dir).unwrap();
    fs::write(data.dir.join("thesis.txt"), "").unwrap();
    let mode = fs::metadata(&data.dir).unwrap().mode();
    let refused = data.refusal().await;
    assert!(matches!(refused, Error::NotADataFolder(_)), "{refused}");
    assert_eq!(fs::metadata(&data.dir).unwrap().mode(), mode);
}

#[tokio::test]
async fn data_of_another_major_version_is_refused() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    fs::write(data.dir.join("postgres/PG_VERSION"), "99\n").unwrap();
    let refused = data.refusal().await;
    assert!(matches!(refused, Error::OtherMajor { data: 99, .. }), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("install PostgreSQL 99") && text.contains("pg_upgrade") && !text.contains('\n'),
        "{text}"
    );
}

#[tokio::test]
async fn without_server_programs_the_packages_are_named() {
    let data = Data::new();
    let empty = TempDir::new().unwrap();
    let settings = Settings {
        postgres_bin: Some(empty.path().to_owned()),
        ..data.settings()
    };
    let refused = PrivateServer::join(&settings).await.unwrap_err().to_string();
    let named = [
        "apt install",
        "dnf install",
        "apk add",
        "brew install",
        "DATABASE_URL",
        empty.path().to_str().unwrap(),
    ];
    assert!(named.iter().all(|word| refused.contains(word)), "{refused}");
}

#[tokio::test]
async fn a_server_that_does_not_start_tells_why() {
    let data = Data::new();
    data.join().await.leave().await.unwrap();
    append(&data.dir.join("postgres/postgresql.conf"), "no_such_setting = 1\n");
    let refused = data.refusal().await;
    assert!(matches!(refused, Error::DidNotStart { .. }), "{refused}");
    let text = refused.to_string();
    assert!(
        text.contains("FATAL") && text.contains("server.log") && !text.contains('\n'),
        "{text}"
    );
}

fn append(path: &Path, text: &str) {
    let old = fs::read_to_string(path).unwrap();
    fs::write(path, old + text).unwrap();
}
