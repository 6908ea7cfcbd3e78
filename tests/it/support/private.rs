//! A private server for one test, which may break it.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use durable_inventory::store::managed_postgres::{Error, ManagedServer, Settings};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::{Connection, PgConnection, Row};
use tempfile::TempDir;

/// A data folder that does not exist yet, in a folder that the server's user can enter. It is removed on drop.
pub struct Data {
    pub parent: TempDir,
    pub dir: PathBuf,
}

impl Data {
    pub fn new() -> Self {
        let parent = tempfile::Builder::new()
            .prefix("private-server-")
            .tempdir_in("/tmp")
            .unwrap();
        fs::set_permissions(parent.path(), Permissions::from_mode(0o711)).unwrap();
        let dir = parent.path().join("data");
        Self { parent, dir }
    }

    pub fn settings(&self) -> Settings {
        Settings {
            data_dir: Some(self.dir.clone()),
            ..Settings::default()
        }
    }

    pub async fn join(&self) -> ManagedServer {
        ManagedServer::join(&self.settings()).await.unwrap()
    }

    pub async fn refusal(&self) -> Error {
        ManagedServer::join(&self.settings()).await.unwrap_err()
    }

    pub fn pid_file(&self) -> PathBuf {
        self.dir.join("postgres/postmaster.pid")
    }

    pub fn is_running(&self) -> bool {
        self.pid_file().exists()
    }

    pub fn server_pid(&self) -> Pid {
        let text = fs::read_to_string(self.pid_file()).unwrap();
        Pid::from_raw(text.lines().next().unwrap().parse().unwrap()).unwrap()
    }

    pub fn kill_server(&self) {
        kill_process(self.server_pid(), Signal::KILL).unwrap();
    }
}

pub async fn execute(server: &ManagedServer, sql: &'static str) {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
    connection.close().await.unwrap();
}

pub async fn number(server: &ManagedServer, sql: &'static str) -> i64 {
    let mut connection = PgConnection::connect_with(&server.connect_options()).await.unwrap();
    let row = sqlx::query(sql).fetch_one(&mut connection).await.unwrap();
    connection.close().await.unwrap();
    row.get(0)
}
