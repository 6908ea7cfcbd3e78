//! Checks the variables for proxies and CA certificates before anything is sent. The libraries that read them ignore
//! invalid values.

use std::env::split_paths;
use std::fs;
use std::io;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{Error as PemError, PemObject};

use super::environment::Environment;
use super::error::{ConfigError, Origin};
use crate::cloudflare::Proxy;

/// In this order: the first that is set counts.
const PROXIES: [&str; 4] = ["HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];
const NO_PROXY: [&str; 2] = ["NO_PROXY", "no_proxy"];

impl Environment<'_> {
    /// The proxy for https, if a variable names one.
    pub(super) fn proxy(&self) -> Result<Option<Proxy>, ConfigError> {
        let Some((variable, url)) = self.first(&PROXIES)? else {
            return Ok(None);
        };
        let direct = self.first(&NO_PROXY)?.map(|(_, hosts)| hosts).unwrap_or_default();
        let proxy = Proxy::parse(variable, &url, direct);
        proxy.map(Some).map_err(|problem| ConfigError::Proxy {
            origin: Origin::variable(variable),
            problem,
        })
    }

    fn first(&self, names: &[&'static str]) -> Result<Option<(&'static str, String)>, ConfigError> {
        for name in names {
            if let Some(value) = self.text(name)?.filter(|value| !value.trim_ascii().is_empty()) {
                return Ok(Some((name, value)));
            }
        }
        Ok(None)
    }

    /// Checks that `SSL_CERT_FILE` and `SSL_CERT_DIR` give CA certificates, if they are set. A folder that is missing
    /// is no mistake as long as there are others: OpenSSL permits that too.
    pub(super) fn check_ca_certificates(&self) -> Result<(), ConfigError> {
        const FILE: &str = "SSL_CERT_FILE";
        const FOLDER: &str = "SSL_CERT_DIR";
        if let Some(file) = self.even_empty(FILE) {
            // The library that loads the certificates would look for a file without a name, and find none.
            if file.is_empty() {
                return Err(ConfigError::EmptyVariable {
                    origin: Origin::variable(FILE),
                });
            }
            check(FILE, Path::new(&file), certificates(Path::new(&file)))?;
        }
        let Some(folders) = self.path(FOLDER) else {
            return Ok(());
        };
        let mut first_failure = None;
        for folder in split_paths(&folders).filter(|folder| !folder.as_os_str().is_empty()) {
            match check(FOLDER, &folder, certificates_in(&folder)) {
                Ok(()) => return Ok(()),
                Err(failure) => first_failure = first_failure.or(Some(failure)),
            }
        }
        first_failure.map_or(Ok(()), Err)
    }
}

fn check(variable: &str, path: &Path, found: io::Result<usize>) -> Result<(), ConfigError> {
    let (origin, what) = (Origin::variable(variable), format!("\"{}\"", path.display()));
    match found {
        Ok(0) => Err(ConfigError::NoCertificate { origin, what }),
        Ok(_) => Ok(()),
        Err(source) => Err(ConfigError::Unreadable { origin, what, source }),
    }
}

/// The number of usable certificates in the files of a folder. What can't be read is skipped: such folders hold
/// dangling links and keys of others.
fn certificates_in(folder: &Path) -> io::Result<usize> {
    let files = fs::read_dir(folder)?.filter_map(Result::ok).map(|entry| entry.path());
    Ok(files
        .filter(|path| path.is_file())
        .filter_map(|path| certificates(&path).ok())
        .sum())
}

fn certificates(file: &Path) -> io::Result<usize> {
    let read = match CertificateDer::pem_file_iter(file) {
        Ok(read) => read,
        Err(PemError::Io(error)) => return Err(error),
        Err(_) => return Ok(0),
    };
    let mut found = Vec::new();
    for certificate in read {
        match certificate {
            Ok(certificate) => found.push(certificate),
            Err(PemError::Io(error)) => return Err(error),
            Err(_) => {}
        }
    }
    let (usable, _) = RootCertStore::empty().add_parsable_certificates(found);
    Ok(usable)
}
