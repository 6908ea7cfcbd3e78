//! The private server's folder: its owner, its permissions, the place of its socket, and what is refused.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::Path;

use durable_inventory::store::managed_postgres::{Error, ManagedServer, Settings};
use rustix::process::geteuid;
use tempfile::TempDir;

use crate::support::private::{Data, number};

/// An account that every system has.
const NOBODY: u32 = 65534;

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

    // Anyone can create a folder of that name while the server is stopped.
    fs::create_dir(&socket).unwrap();
    if geteuid().is_root() {
        chown(&socket, Some(NOBODY - 1), None).unwrap();
    } else {
        fs::remove_dir(&socket).unwrap();
        fs::write(&socket, "").unwrap();
    }
    let server = data.join().await;
    let other = server.connect_options().get_socket().unwrap().clone();
    assert_ne!(other, socket);
    assert_eq!(fs::metadata(&other).unwrap().mode() & 0o777, 0o700);
    let sharer = data.join().await;
    assert_eq!(number(&sharer, "SELECT 1::bigint").await, 1);
    server.leave().await.unwrap();
    sharer.leave().await.unwrap();
    let again = data.join().await;
    assert_eq!(again.connect_options().get_socket().unwrap(), &other);
    again.leave().await.unwrap();
    let _ = fs::remove_dir(&socket).or_else(|_| fs::remove_file(&socket));
}

#[tokio::test]
async fn a_path_may_hold_any_characters() {
    let mut data = Data::new();
    data.dir = data.parent.path().join("it's, \"our\" data");
    let server = data.join().await;
    assert_eq!(number(&server, "SELECT 1::bigint").await, 1);
    server.leave().await.unwrap();
}

/// `mktemp -d` creates such a parent. It blocks the server's user only if that is a different user.
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

/// A folder that `mktemp -d` created may itself be the data folder.
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
        let refused = ManagedServer::join(&settings).await.unwrap_err();
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
    let refused = ManagedServer::join(&settings).await.unwrap_err();
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
    let refused = ManagedServer::join(&settings).await.unwrap_err().to_string();
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
