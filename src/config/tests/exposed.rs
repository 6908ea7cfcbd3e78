use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use super::*;

struct Folder(TempDir);

impl Folder {
    /// Creates a folder that other users may enter.
    fn new() -> Self {
        let folder = Self(tempfile::tempdir_in("/tmp").unwrap());
        folder.set("", 0o755);
        folder
    }

    fn set(&self, name: &str, mode: u32) {
        fs::set_permissions(self.0.path().join(name), Permissions::from_mode(mode)).unwrap();
    }

    fn write(&self, name: &str, text: &str, mode: u32) -> String {
        let path = self.0.path().join(name);
        fs::write(&path, text).unwrap();
        self.set(name, mode);
        path.to_str().unwrap().to_owned()
    }
}

fn told(config: Option<&str>, variables: &[(&str, &str)]) -> Vec<String> {
    let global = GlobalArgs {
        config: config.map(PathBuf::from),
        ..GlobalArgs::default()
    };
    let lookup = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| OsString::from(value))
    };
    Settings::load(&global, Environment::new(&lookup))
        .unwrap()
        .exposed_files()
}

#[test]
fn a_secret_that_others_can_read_or_write_is_told_of() {
    let folder = Folder::new();
    let token = folder.write("token", "abc", 0o600);
    let variables = [("CLOUDFLARE_API_TOKEN_FILE", token.as_str())];
    for closed in [0o600, 0o400, 0o640, 0o440, 0o700] {
        folder.set("token", closed);
        assert_eq!(told(None, &variables), [""; 0], "{closed:o}");
    }
    for open in [0o644, 0o666, 0o660, 0o604, 0o602] {
        folder.set("token", open);
        let advice = format!("run `chmod g-w,o= {token}`");
        let told = told(None, &variables);
        assert!(
            matches!(&told[..], [one] if one.starts_with("CLOUDFLARE_API_TOKEN_FILE: ") && one.ends_with(&advice)),
            "{open:o}: {told:?}"
        );
    }
}

#[test]
fn a_folder_that_keeps_others_out_is_enough() {
    let folder = Folder::new();
    let token = folder.write("token", "abc", 0o666);
    let variables = [("CLOUDFLARE_API_TOKEN_FILE", token.as_str())];
    assert_eq!(told(None, &variables).len(), 1);
    folder.set("", 0o700);
    assert_eq!(told(None, &variables), [""; 0]);
}

#[test]
fn credentials_of_a_service_are_its_own() {
    let folder = Folder::new();
    let token = folder.write("token", "abc", 0o644);
    let path = folder.0.path().to_str().unwrap();
    let variables = [
        ("CLOUDFLARE_API_TOKEN_FILE", token.as_str()),
        ("CREDENTIALS_DIRECTORY", path),
    ];
    assert_eq!(told(None, &variables), [""; 0]);
}

#[test]
fn the_configuration_file_and_those_that_it_names_are_looked_at() {
    let folder = Folder::new();
    folder.write("token", "abc", 0o644);
    let text = format!("[[accounts]]\nid = '{A}'\napi_token_file = 'token'\n");
    let config = folder.write("inventory.toml", &text, 0o644);
    let found = told(Some(&config), &[]);
    let start = format!("{config}:3: accounts.api_token_file: ");
    assert!(matches!(&found[..], [one] if one.starts_with(&start)), "{found:?}");
    folder.set("token", 0o600);
    folder.set("inventory.toml", 0o646);
    let found = told(Some(&config), &[]);
    assert!(
        matches!(&found[..], [one] if one.ends_with(&format!("run `chmod o-w {config}`"))),
        "{found:?}"
    );
}
