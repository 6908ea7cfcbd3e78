//! The whole database as text.

use std::process::Command;

use super::MARK;
use crate::support::database::TestDatabase;

/// Searches everything stored, in all schemas.
pub fn is_searched(database: &TestDatabase) {
    let dumped = Command::new("pg_dump")
        .arg("-h")
        .arg(database.options.get_socket().unwrap())
        .args(["-p", &database.options.get_port().to_string()])
        .args(["-U", database.options.get_username()])
        .args(["-d", database.options.get_database().unwrap()])
        .output()
        .unwrap();
    let text = String::from_utf8(dumped.stdout).unwrap();
    assert!(
        dumped.status.success() && text.contains("inventory.snapshot"),
        "{}",
        String::from_utf8_lossy(&dumped.stderr)
    );
    let found = text.lines().find(|line| line.to_lowercase().contains(MARK));
    assert_eq!(found, None, "a secret in the database");
}
