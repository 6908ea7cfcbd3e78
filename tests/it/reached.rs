//! Databases as people address them, and as administrators limit their sessions.

use std::net::{Ipv6Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};

use crate::grants::{drop_role, grants};
use crate::support::database::{TestDatabase, fresh_database};
use crate::support::network::certificates::{OWN_AUTHORITY, SELF_SIGNED, SIGNED};
use crate::support::network::{CA, postgres};
use crate::support::program::{ACCOUNT, Ended, bare, program, run, simulator, sync};

/// The server's socket.
fn socket(database: &TestDatabase) -> PathBuf {
    let port = database.options.get_port();
    database.options.get_socket().unwrap().join(format!(".s.PGSQL.{port}"))
}

const LOOPBACK: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 0);

fn on(url: &str, args: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = bare(args);
    command.env("DATABASE_URL", url).envs(variables.iter().copied());
    run(command)
}

#[expect(clippy::print_stderr, reason = "a test that did not run says so")]
#[tokio::test]
async fn every_form_of_an_address_reaches_the_database() {
    let database = fresh_database().await;
    let (user, name) = (
        database.options.get_username(),
        database.options.get_database().unwrap(),
    );
    let (folder, port) = (
        database.options.get_socket().unwrap().display(),
        database.options.get_port(),
    );
    let v4 = postgres(LOOPBACK, socket(&database), None).unwrap().port();
    let mut urls = vec![
        format!("postgres://{user}:password@/{name}?host={folder}&port={port}"),
        format!(
            "postgresql://{user}@/{name}?host={}&port={port}",
            folder.to_string().replace('/', "%2F")
        ),
        format!("postgres://{user}@:{port}/{name}?host={folder}"),
        format!("postgres:///{name}?host={folder}&port={port}&user={user}"),
        format!(
            "postgres://{}:{port}/{name}?user={user}",
            folder.to_string().replace('/', "%2F")
        ),
        format!("postgres://{user}@nowhere.invalid:{v4}/{name}?hostaddr=127.0.0.1"),
        format!("postgres://{user}@/{name}?host=127.0.0.1&port={v4}"),
        format!("postgres://{user}@[::ffff:127.0.0.1]:{v4}/{name}?sslmode=disable"),
    ];
    match postgres(SocketAddr::from((Ipv6Addr::LOCALHOST, 0)), socket(&database), None) {
        Ok(address) => urls.extend([
            format!("postgres://{user}@{address}/{name}"),
            format!("postgres://{user}@{address}/{name}?application_name=a%20b"),
            format!("postgres://{user}@/{name}?host=::1&port={}", address.port()),
        ]),
        Err(error) => eprintln!("not run: this machine has no IPv6 ({error})"),
    }
    for url in &urls {
        // What the program takes for itself is what it gives to psql.
        for args in [&["namespaces"][..], &["psql", "-Atc", "select current_database()"]] {
            let ended = on(url, args, &[]);
            assert_eq!(ended.code, Some(0), "{url}: {ended:#?}");
            assert!(
                args == ["namespaces"] || ended.stdout.trim() == name,
                "{url}: {ended:#?}"
            );
        }
    }
}

#[test]
fn the_part_of_an_url_that_can_not_be_used_is_named() {
    const PASSWORD: &str = "hunter2";
    for (rest, expected) in [
        ("h1:5432,h2:5432/db", "names several hosts"),
        ("h1,h2/db", "names several hosts"),
        ("h/db?host=h1,h2", "names several hosts"),
        ("h/db?hostaddr=10.0.0.1,10.0.0.2", "names several hosts"),
        ("h:1,2/db", "names several hosts"),
        ("h:x/db", "the port in DATABASE_URL"),
        ("h:99999/db", "the port in DATABASE_URL"),
        ("h/db?port=x", "the port in DATABASE_URL"),
        (
            "h/db?ssl=false",
            "write sslmode=disable, sslmode=require or sslmode=verify-full",
        ),
        ("h/db?ssl=1", "the parameter ssl in DATABASE_URL"),
        ("h/db?sslmode=no-verify", "sslmode in DATABASE_URL must be one of"),
        ("h/db?sslmode=require&sslrootcert=system", "needs sslmode=verify-full"),
        ("h/db?sslmode=verify-ca&sslrootcert=system", "needs sslmode=verify-full"),
        (
            "h/db?sslmode=verify-full&sslrootcert=/no/ca.pem",
            "sslrootcert in DATABASE_URL: could not read /no/ca.pem: No such file",
        ),
        (
            "h/db?sslmode=require&sslrootcert=/no/ca.pem",
            "could not read /no/ca.pem",
        ),
        (
            "h/db?sslmode=require&sslcert=/no/c.pem&sslkey=/no/k.pem",
            "sslcert in DATABASE_URL: could not read /no/c.pem",
        ),
    ] {
        for args in [&["namespaces"][..], &["psql", "-c", "select 1"]] {
            let ended = on(&format!("postgres://u:{PASSWORD}@{rest}"), args, &[]);
            assert_eq!(ended.code, Some(2), "{rest}: {ended:#?}");
            assert!(ended.stderr.contains(expected), "{rest}: {ended:#?}");
            assert!(!ended.stderr.contains(PASSWORD), "{rest}: {ended:#?}");
        }
    }
    let ended = on(
        "postgres://h/db?sslmode=verify-full",
        &["namespaces"],
        &[("PGSSLROOTCERT", "/no/ca.pem")],
    );
    assert!(
        ended.stderr.contains("PGSSLROOTCERT: could not read /no/ca.pem"),
        "{ended:#?}"
    );
}

/// A certificate as a file for `sslrootcert`.
fn pem(certificate: &[u8]) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    let text = format!(
        "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
        STANDARD.encode(certificate)
    );
    std::fs::write(file.path(), text).unwrap();
    file
}

#[tokio::test]
async fn the_certificate_of_a_database_is_verified_as_far_as_the_url_asks() {
    let database = fresh_database().await;
    let (user, name) = (
        database.options.get_username(),
        database.options.get_database().unwrap(),
    );
    let server = |certificate| postgres(LOOPBACK, socket(&database), Some(certificate)).unwrap().port();
    let (signed, alone, authority) = (server(SIGNED), server(SELF_SIGNED), server(OWN_AUTHORITY));
    let (alone_file, authority_file) = (pem(SELF_SIGNED), pem(OWN_AUTHORITY));
    let (alone_pem, authority_pem) = (
        alone_file.path().to_str().unwrap(),
        authority_file.path().to_str().unwrap(),
    );
    // The operating system trusts what this file contains.
    let trusted = &[("SSL_CERT_FILE", CA)][..];
    let untrusted = &[("SSL_CERT_FILE", alone_pem)][..];
    let unknown = "not signed by a certificate authority that is trusted here: add sslrootcert=FILE";
    for (port, query, variables, refused) in [
        (signed, "ssl=true".to_owned(), untrusted, None),
        (
            signed,
            "sslmode=verify-full&sslrootcert=system".to_owned(),
            trusted,
            None,
        ),
        (signed, "sslrootcert=system".to_owned(), trusted, None),
        (signed, "sslrootcert=system".to_owned(), untrusted, Some(unknown)),
        (signed, format!("sslmode=verify-full&sslrootcert={CA}"), untrusted, None),
        (signed, format!("sslmode=require&sslrootcert={CA}"), untrusted, None),
        (
            signed,
            format!("sslmode=require&sslrootcert={alone_pem}"),
            untrusted,
            Some(unknown),
        ),
        (signed, "sslmode=verify-ca".to_owned(), untrusted, Some(unknown)),
        (
            alone,
            format!("sslmode=verify-full&sslrootcert={alone_pem}"),
            trusted,
            None,
        ),
        (
            alone,
            format!("sslmode=verify-ca&sslrootcert={alone_pem}"),
            trusted,
            None,
        ),
        (alone, "sslmode=verify-ca".to_owned(), trusted, Some(unknown)),
        (authority, "sslmode=require".to_owned(), trusted, None),
        (
            authority,
            format!("sslmode=verify-ca&sslrootcert={authority_pem}"),
            trusted,
            Some("create it with `-addext basicConstraints=critical,CA:FALSE"),
        ),
    ] {
        let url = format!("postgres://{user}@127.0.0.1:{port}/{name}?{query}");
        let ended = on(&url, &["namespaces"], variables);
        match refused {
            None => assert_eq!(ended.code, Some(0), "{url}: {ended:#?}"),
            Some(why) => {
                assert_eq!(ended.code, Some(1), "{url}: {ended:#?}");
                assert!(ended.stderr.contains(why), "{url}: {ended:#?}");
            }
        }
    }
    // `0.0.0.0` leads to this machine too, but is not in the certificate.
    let any = postgres(SocketAddr::from(([0, 0, 0, 0], 0)), socket(&database), Some(SIGNED)).unwrap();
    let url = format!("postgres://{user}@{any}/{name}?sslmode=verify-full&sslrootcert={CA}");
    let ended = on(&url, &["namespaces"], &[]);
    assert!(
        ended.code == Some(1) && ended.stderr.contains("use sslmode=verify-ca"),
        "{ended:#?}"
    );
    // psql gets the same file.
    let url = format!("postgres://{user}@127.0.0.1:{signed}/{name}?sslmode=verify-full&sslrootcert={CA}");
    let ended = on(&url, &["psql", "-Atc", "select 'there'"], &[]);
    assert!(ended.code == Some(0) && ended.stdout == "there\n", "{ended:#?}");
}

/// Waits until a session of the program fulfils this condition.
async fn until_it_lasts(admin: &mut PgConnection, condition: &str) {
    let lasts = format!(
        "select count(*) > 0 from pg_stat_activity
         where datname = current_database() and application_name like 'durable-inventory %' and {condition}"
    );
    let deadline = Instant::now() + Duration::from_secs(30);
    while !sqlx::query_scalar::<_, bool>(AssertSqlSafe(lasts.as_str()))
        .fetch_one(&mut *admin)
        .await
        .unwrap()
    {
        assert!(Instant::now() < deadline, "no session: {condition}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Every limit that this server knows ends sessions or transactions after 500 ms, and both last longer.
#[tokio::test]
async fn limits_on_sessions_and_transactions_do_not_end_a_sync() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 300, 1);
    assert_eq!(run(sync(&simulator, &database, &["--limit", "100"])).code, Some(0));
    let mut admin = PgConnection::connect_with(&database.options).await.unwrap();
    let mut locker = PgConnection::connect_with(&database.options).await.unwrap();
    let limits: Vec<String> = sqlx::query_scalar(
        "select format('alter database %I set %I = 500', current_database(), name) from pg_settings
         where name ~ '^(statement|lock|transaction|idle_session|idle_in_transaction_session)_timeout$'",
    )
    .fetch_all(&mut admin)
    .await
    .unwrap();
    assert!(limits.len() >= 4, "{limits:?}");
    for limit in limits {
        admin.execute(AssertSqlSafe(limit)).await.unwrap();
    }
    simulator.seed(&namespace, 400, 1);
    let hold = simulator.hold_at(&namespace, 2);
    let child = sync(&simulator, &database, &["--limit", "100"]).spawn().unwrap();
    let held = tokio::time::timeout(Duration::from_secs(30), hold.wait_until_held()).await;
    assert!(held.is_ok(), "{:#?}", Ended::from(child.wait_with_output().unwrap()));
    until_it_lasts(
        &mut admin,
        "state = 'idle' and clock_timestamp() - state_change > '1 s'",
    )
    .await;
    locker
        .execute("begin; lock table inventory.store in access exclusive mode")
        .await
        .unwrap();
    hold.release();
    until_it_lasts(
        &mut admin,
        "wait_event_type = 'Lock' and clock_timestamp() - xact_start > '1 s'",
    )
    .await;
    locker.execute("rollback").await.unwrap();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(!ended.stderr.contains("WARN"), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["objects"], 400, "{ended:#?}");
    let exported = run(program(&simulator, &database, &["export", "objects", "--ids-only"]));
    assert_eq!(
        (exported.code, exported.stdout.lines().count()),
        (Some(0), 400),
        "{exported:#?}"
    );
}

/// A role that may open so many sessions at once.
struct Limited {
    role: String,
    owner: PgConnection,
    url: String,
}

impl Limited {
    async fn new(database: &TestDatabase, sessions: u32) -> Self {
        let role = format!("{}_limited", database.options.get_database().unwrap());
        let mut owner = PgConnection::connect_with(&database.options).await.unwrap();
        let made = format!(
            "create role {role} login connection limit {sessions}; {}",
            grants(&role)
        );
        owner.execute(AssertSqlSafe(made)).await.unwrap();
        let url = database.url_as(&role);
        Self { role, owner, url }
    }

    fn run_by(&self, mut command: Command) -> Command {
        command.env("DATABASE_URL", &self.url);
        command
    }

    async fn allow(&mut self, sessions: i32) {
        let sql = format!("alter role {} connection limit {sessions}", self.role);
        self.owner.execute(AssertSqlSafe(sql)).await.unwrap();
    }
}

const REFUSED: &str = "too many connections for role";

#[tokio::test]
async fn a_server_without_a_free_session_is_waited_for() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 300, 1);
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    let mut limited = Limited::new(&database, 1).await;
    let command = |args: &[&str]| sync(&simulator, &database, &[&["--no-migrate"], args].concat());
    let ended = run(limited.run_by(command(&["--retry-for", "1ms"])));
    assert!(ended.code == Some(1) && ended.stderr.contains(REFUSED), "{ended:#?}");

    let mut child = limited.run_by(command(&["--retry-for", "60s"])).spawn().unwrap();
    let mut log = std::io::BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains(REFUSED) {
        line.clear();
        assert!(
            std::io::BufRead::read_line(&mut log, &mut line).unwrap() > 0,
            "it ended"
        );
    }
    limited.allow(-1).await;
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(ended.json()["namespaces"][0]["objects"], 300, "{ended:#?}");

    // Other commands say at once what the server said.
    limited.allow(0).await;
    for args in [&["namespaces"][..], &["export", "objects"], &["report"]] {
        let ended = run(limited.run_by(bare(&[&["--no-migrate"], args].concat())));
        assert!(ended.code == Some(1) && ended.stderr.contains(REFUSED), "{ended:#?}");
    }
    drop_role(limited.owner, &limited.role).await;
}

/// One session fewer than a sync of one namespace uses at the same time: its pool waits, and its error has the server's
/// words.
#[tokio::test]
#[ignore = "large: waits for a pool's timeout of 30 s"]
async fn a_pool_that_waits_in_vain_says_what_the_server_said() {
    let (simulator, database) = (simulator().await, fresh_database().await);
    let namespace = simulator.add_namespace(ACCOUNT, "room");
    simulator.seed(&namespace, 300, 1);
    assert_eq!(run(program(&simulator, &database, &["migrate"])).code, Some(0));
    let limited = Limited::new(&database, 2).await;
    let command = sync(
        &simulator,
        &database,
        &["--no-migrate", "--limit", "100", "--retry-for", "1ms"],
    );
    let ended = run(limited.run_by(command));
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(said.contains(REFUSED) && !said.contains("pool timed out"), "{ended:#?}");
    drop_role(limited.owner, &limited.role).await;
}
