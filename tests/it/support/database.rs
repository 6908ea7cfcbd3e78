//! One database per test, on a private server that all tests share, across threads and processes. The last test stops
//! the server.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use durable_inventory::store::managed_postgres::{ManagedServer, Settings};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection};

/// An empty database, dropped with this value. Keep pools on it small: all tests of a run share the server's 100
/// connections.
pub struct TestDatabase {
    pub options: PgConnectOptions,
    name: String,
    /// `None` only during the drop.
    server: Option<ManagedServer>,
}

pub async fn fresh_database() -> TestDatabase {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let name = format!("test_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
    let server = join().await;
    let admin = server.connect_options();
    // A killed run may have left a database of this name.
    execute(&admin, &format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).await;
    execute(&admin, &format!("CREATE DATABASE {name}")).await;
    TestDatabase {
        options: server.connect_options().database(&name),
        name,
        server: Some(server),
    }
}

impl TestDatabase {
    /// The database as a `DATABASE_URL`.
    pub fn url(&self) -> String {
        url(&self.options)
    }

    /// The same for another role.
    pub fn url_as(&self, role: &str) -> String {
        url(&self.options.clone().username(role))
    }
}

/// The database as a `DATABASE_URL`.
pub fn url(options: &PgConnectOptions) -> String {
    let socket = options.get_socket().unwrap().to_str().unwrap();
    let (user, port, name) = (
        options.get_username(),
        options.get_port(),
        options.get_database().unwrap(),
    );
    let host: String = url::form_urlencoded::byte_serialize(socket.as_bytes()).collect();
    format!("postgres://{user}@localhost:{port}/{name}?host={host}&sslmode=disable")
}

impl Drop for TestDatabase {
    /// Drops the database on a thread of its own, because the test's runtime may be shutting down or may not be
    /// blocked.
    fn drop(&mut self) {
        let (name, server) = (std::mem::take(&mut self.name), self.server.take().unwrap());
        let ended = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                execute(&server.connect_options(), &format!("DROP DATABASE {name} WITH (FORCE)")).await;
                server.leave().await.unwrap();
            });
        })
        .join();
        // A second panic would hide why the test failed.
        assert!(
            ended.is_ok() || std::thread::panicking(),
            "the test's database could not be dropped"
        );
    }
}

/// Names a folder with server programs in `native/bin`: the shared server then is of these, and its cluster in `data`.
pub const OTHER_SERVER: &str = "DURABLE_INVENTORY_TEST_SERVER";

/// Joins the shared server. Its cluster stays in the build folder so that the next run need not create it. If the
/// server's user can't reach that folder (a checkout in root's home), the cluster lies in `/tmp`.
async fn join() -> ManagedServer {
    if let Some(folder) = std::env::var_os(OTHER_SERVER).map(PathBuf::from) {
        let settings = Settings {
            postgres_bin: Some(folder.join("native/bin")),
            ..at(folder.join("data"))
        };
        return ManagedServer::join(&settings).await.unwrap();
    }
    let in_target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("postgres");
    match ManagedServer::join(&at(in_target)).await {
        Ok(server) => server,
        Err(_) => {
            let uid = rustix::process::geteuid().as_raw();
            let in_tmp = std::env::temp_dir().join(format!("durable-inventory-tests-{uid}"));
            ManagedServer::join(&at(in_tmp)).await.unwrap()
        }
    }
}

fn at(data_dir: PathBuf) -> Settings {
    Settings {
        data_dir: Some(data_dir),
        ..Settings::default()
    }
}

async fn execute(options: &PgConnectOptions, sql: &str) {
    let mut connection = PgConnection::connect_with(options).await.unwrap();
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut connection)
        .await
        .unwrap();
    connection.close().await.unwrap();
}
