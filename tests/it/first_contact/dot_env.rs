//! The `.env` file of the working folder.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, mknodat};
use rustix::process::geteuid;
use tempfile::TempDir;

use super::{SYNC, program_in, service};
use crate::support::account::OTHER;
use crate::support::program::{ACCOUNT, TOKEN, bare, run};

fn folder_with(text: impl AsRef<[u8]>, mode: u32) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), text, mode);
    folder
}

fn write(folder: &Path, text: impl AsRef<[u8]>, mode: u32) {
    fs::write(folder.join(".env"), text).unwrap();
    fs::set_permissions(folder.join(".env"), Permissions::from_mode(mode)).unwrap();
}

#[tokio::test]
async fn it_supplies_the_account_and_its_credentials_and_nothing_else() {
    let (simulator, database, _) = service().await;
    simulator.add_key(ACCOUNT, "me@example.com", "s3cret-key");
    let others = "DATABASE_URL=postgres://nobody@127.0.0.1:1/none\nCLOUDFLARE_API_BASE_URL=http://127.0.0.1:1\n\
                  CLOUDFLARE_API_TOKEN_COMMAND='touch ran'\nCLOUDFLARE_API_TOKEN_FILE=/no/file\nRUST_LOG=trace\n";
    for (text, supplied) in [
        (
            format!(
                "\u{feff}# comment\r\nexport CLOUDFLARE_API_TOKEN=\"{TOKEN}\" # mine\r\nCLOUDFLARE_ACCOUNT_ID = {ACCOUNT}\r\n"
            ),
            "CLOUDFLARE_ACCOUNT_ID, CLOUDFLARE_API_TOKEN",
        ),
        (format!("CLOUDFLARE_API_TOKEN='{TOKEN}'\n"), "CLOUDFLARE_API_TOKEN\n"),
        (
            "CLOUDFLARE_EMAIL=me@example.com\nCLOUDFLARE_API_KEY=s3cret-key".to_owned(),
            "CLOUDFLARE_EMAIL, CLOUDFLARE_API_KEY\n",
        ),
        (
            format!("CLOUDFLARE_EMAIL=me@example.com\nCLOUDFLARE_API_KEY=s3cret-key\nCLOUDFLARE_API_TOKEN={TOKEN}"),
            "CLOUDFLARE_API_TOKEN\n",
        ),
    ] {
        let folder = folder_with(format!("{text}\n{others}"), 0o600);
        let ended = run(program_in(&folder, &simulator, &database, SYNC));
        assert_eq!(ended.code, Some(0), "{text}: {ended:#?}");
        let names: Vec<_> = supplied.trim().split(", ").collect();
        let told = ended
            .stderr
            .lines()
            .find(|line| line.contains("the file .env"))
            .unwrap();
        let told: Vec<_> = told.split_once("supplies ").unwrap().1.split(", ").collect();
        assert!(
            told.len() == names.len() && names.iter().all(|name| told.contains(name)),
            "{ended:#?}"
        );
        for value in [TOKEN, "s3cret-key", "WARN"] {
            assert!(!ended.stderr.contains(value), "{value}: {ended:#?}");
        }
        assert!(!folder.path().join("ran").exists());
    }
    let folder = folder_with(format!("CLOUDFLARE_API_TOKEN={TOKEN}"), 0o600);
    let mut quiet = bare(&["namespaces"]);
    quiet.current_dir(folder.path()).env("DATABASE_URL", database.url());
    let ended = run(quiet);
    assert_eq!(
        (ended.code, ended.stderr.as_str()),
        (Some(0), ""),
        "no other command reads it"
    );
}

#[tokio::test]
async fn the_environment_and_the_configuration_win() {
    let (simulator, database, _) = service().await;
    simulator.add_account(OTHER, "other-token");
    simulator.add_key(ACCOUNT, "me@example.com", "a-global-key");
    let wrong = format!(
        "CLOUDFLARE_API_TOKEN=wrong\nCLOUDFLARE_ACCOUNT_ID={OTHER}\nCLOUDFLARE_EMAIL=wrong@example.com\nCLOUDFLARE_API_KEY=wrong\n"
    );
    let folder = folder_with(wrong, 0o600);
    fs::write(folder.path().join("token"), TOKEN).unwrap();
    fs::set_permissions(folder.path().join("token"), Permissions::from_mode(0o600)).unwrap();
    let toml = format!("[[accounts]]\nid = '{ACCOUNT}'\napi_token_file = 'token'\n");
    fs::write(folder.path().join("inventory.toml"), toml).unwrap();
    let account = ("CLOUDFLARE_ACCOUNT_ID", ACCOUNT);
    let cases: [&[(&str, &str)]; 5] = [
        &[account, ("CLOUDFLARE_API_TOKEN", TOKEN)],
        &[account, ("CLOUDFLARE_API_TOKEN_FILE", "token")],
        &[account, ("CLOUDFLARE_API_TOKEN_COMMAND", "cat token")],
        &[
            account,
            ("CLOUDFLARE_EMAIL", "me@example.com"),
            ("CLOUDFLARE_API_KEY", "a-global-key"),
        ],
        &[("DURABLE_INVENTORY_CONFIG", "inventory.toml")],
    ];
    for variables in cases {
        let mut command = program_in(&folder, &simulator, &database, SYNC);
        command.envs(variables.iter().copied());
        let ended = run(command);
        assert_eq!(ended.code, Some(0), "{variables:?}: {ended:#?}");
        assert!(!ended.stderr.contains(".env"), "nothing is taken from it: {ended:#?}");
    }
    // A variable that is set but empty counts as not set, here as everywhere.
    write(folder.path(), format!("CLOUDFLARE_API_TOKEN={TOKEN}\n"), 0o600);
    let mut command = program_in(&folder, &simulator, &database, SYNC);
    command
        .env("CLOUDFLARE_API_TOKEN", "")
        .env("CLOUDFLARE_ACCOUNT_ID", ACCOUNT);
    let ended = run(command);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains(".env in the working folder supplies CLOUDFLARE_API_TOKEN\n"),
        "{ended:#?}"
    );
}

#[tokio::test]
async fn one_that_others_may_have_written_is_not_read() {
    let (simulator, database, _) = service().await;
    let good = format!("CLOUDFLARE_API_TOKEN={TOKEN}\nCLOUDFLARE_ACCOUNT_ID={ACCOUNT}\n");
    let mut cases: Vec<(TempDir, String)> = [0o620, 0o602, 0o666]
        .map(|mode| {
            (
                folder_with(&good, mode),
                "other users can change it: run `chmod go-w .env`".to_owned(),
            )
        })
        .into();
    if geteuid().is_root() {
        let folder = folder_with(&good, 0o600);
        chown(folder.path().join(".env"), Some(12_345), None).unwrap();
        cases.push((
            folder,
            "it belongs to user id 12345: if its content is yours, run `chown 0 .env`".to_owned(),
        ));
    }
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join(".env")).unwrap();
    cases.push((folder, "it is not a regular file".to_owned()));
    let folder = tempfile::tempdir().unwrap();
    mknodat(
        CWD,
        folder.path().join(".env"),
        FileType::Fifo,
        Mode::RUSR | Mode::WUSR,
        0,
    )
    .unwrap();
    cases.push((folder, "it is not a regular file".to_owned()));
    let folder = folder_with(&good, 0o600);
    fs::rename(folder.path().join(".env"), folder.path().join("elsewhere")).unwrap();
    symlink("elsewhere", folder.path().join(".env")).unwrap();
    cases.push((folder, "it is a link".to_owned()));
    let large = good.clone() + &"#".repeat(64 << 10);
    cases.push((folder_with(large, 0o600), "larger than 64 KiB".to_owned()));
    let utf16: Vec<u8> = good.encode_utf16().flat_map(u16::to_le_bytes).collect();
    cases.push((folder_with(utf16, 0o600), "it is UTF-16".to_owned()));
    for (folder, problem) in cases {
        for args in [SYNC, &["check"]] {
            let ended = run(program_in(&folder, &simulator, &database, args));
            assert_eq!(ended.code, Some(2), "{ended:#?}");
            let told = ended.stderr.lines().find(|line| line.contains("WARN")).unwrap();
            assert!(
                told.contains(".env: not read") && told.contains(&problem),
                "no {problem}: {ended:#?}"
            );
            let all = format!("{}{}", ended.stdout, ended.stderr);
            assert!(
                all.contains("no credentials: set CLOUDFLARE_API_TOKEN") && !all.contains(TOKEN),
                "{ended:#?}"
            );
        }
    }
    assert_eq!(simulator.requests().len(), 0);
}

#[tokio::test]
async fn a_malformed_line_is_named_and_skipped() {
    let (simulator, database, _) = service().await;
    let text = format!("s3cret without a name\nCLOUDFLARE_API_TOKEN={TOKEN}\nS3CRET: \"s3cret\"\nA='s3cret\n");
    let folder = folder_with(text, 0o644);
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let ended = run(program_in(&folder, &simulator, &database, SYNC));
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert!(
        ended
            .stderr
            .contains(".env: skipped lines 1, 3, 4, as they are not NAME=value"),
        "{ended:#?}"
    );
    assert!(
        ended
            .stderr
            .contains("other users can read it, and it contains a secret: run `chmod o= .env`"),
        "{ended:#?}"
    );
    assert!(!ended.stderr.to_lowercase().contains("s3cret"), "{ended:#?}");

    // A value that can't be right is named by its line.
    for (line, problem) in [
        (
            "CLOUDFLARE_ACCOUNT_ID=s3cret/x",
            ".env:2: CLOUDFLARE_ACCOUNT_ID: not the id of an account",
        ),
        (
            "CLOUDFLARE_API_TOKEN=$S3CRET",
            ".env:2: CLOUDFLARE_API_TOKEN: a token or key has only letters",
        ),
        (
            "CLOUDFLARE_EMAIL=s3cret",
            ".env:2: CLOUDFLARE_EMAIL: CLOUDFLARE_API_KEY is not set",
        ),
    ] {
        let folder = folder_with(format!("\n{line}\n"), 0o600);
        let mut command = program_in(&folder, &simulator, &database, SYNC);
        if line.contains("ACCOUNT") {
            command.env("CLOUDFLARE_API_TOKEN", TOKEN);
        }
        let ended = run(command);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(ended.stderr.contains(problem), "no {problem}: {ended:#?}");
        assert!(!ended.stderr.to_lowercase().contains("s3cret"), "{ended:#?}");
    }
}
