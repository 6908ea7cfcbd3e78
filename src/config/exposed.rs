//! Finds files with secrets, or with the addresses that secrets are sent to, that other users can read or change.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::Settings;
use super::error::Origin;
use super::secret::SecretSource;
use crate::text::shell_word;

const READ_OR_WRITTEN: u32 = 0o026;
/// The configuration file itself holds no secret, so anyone may read it.
const WRITTEN: u32 = 0o002;

const VARIABLES: [&str; 5] = [
    "CLOUDFLARE_API_TOKEN_FILE",
    "CLOUDFLARE_API_KEY_FILE",
    "DATABASE_URL_FILE",
    "DURABLE_INVENTORY_PING_URL_FILE",
    "DURABLE_INVENTORY_NOTIFY_URL_FILE",
];

impl Settings<'_> {
    /// Returns one line of advice for each exposed file. Secrets that are mounted into a container and systemd's
    /// credentials are never reported: no other user can reach them.
    pub fn exposed_files(&self) -> Vec<String> {
        let credentials = self.environment.path("CREDENTIALS_DIRECTORY");
        let safe = [Some(PathBuf::from("/run/secrets")), credentials];
        let is_safe = |path: &Path| safe.iter().flatten().any(|folder| path.starts_with(folder));
        let secrets = self.secret_files().into_iter().filter_map(|(origin, written)| {
            let path = fs::canonicalize(&written).ok()?;
            let exposed = !is_safe(&written) && !is_safe(&path) && is_open(&path, READ_OR_WRITTEN);
            let file = shell_word(&written.to_string_lossy());
            exposed.then(|| {
                format!("{origin}: other users can read or write the secret's file: run `chmod g-w,o= {file}`")
            })
        });
        let path = &self.file.path;
        let config = fs::canonicalize(path).is_ok_and(|path| is_open(&path, WRITTEN));
        let file = shell_word(&path.to_string_lossy());
        let config = config.then(|| {
            format!(
                "{file}: other users can change this file, and with it where tokens are sent: run `chmod o-w \
                     {file}`"
            )
        });
        secrets.chain(config).collect()
    }

    /// Every secret's file that is named, whether or not the command reads it.
    fn secret_files(&self) -> Vec<(Origin, PathBuf)> {
        let by_variable = VARIABLES.map(|name| Some((Origin::variable(name), self.environment.path(name)?)));
        let accounts = &self.file.table.accounts;
        let by_file = accounts
            .iter()
            .flat_map(|account| [self.file.api_token(account), self.file.api_key(account)])
            .chain([self.file.database_url()]);
        // A contradiction is reported when the secret is read.
        let by_file = by_file.filter_map(|source| source.ok().flatten().and_then(SecretSource::into_file));
        by_variable.into_iter().flatten().chain(by_file).collect()
    }
}

/// Whether one of these bits is set for the group or for others, and the folders above let them reach the file.
pub(super) fn is_open(path: &Path, bits: u32) -> bool {
    let Ok(mode) = fs::metadata(path).map(|there| there.mode() & bits) else {
        return false;
    };
    let above = |bits: u32| {
        let mut folders = path.ancestors().skip(1);
        folders.all(|folder| fs::metadata(folder).is_ok_and(|there| there.mode() & bits != 0))
    };
    (mode & 0o007 != 0 && above(0o001)) || (mode & 0o070 != 0 && above(0o011))
}
