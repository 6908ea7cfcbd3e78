//! Python environments with packages from PyPI that read our output, kept in the build folder.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// Returns the interpreter of an environment with the packages of `tests/readers/NAME.txt`. The next run reuses the
/// environment.
pub fn python(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // If another test panicked while holding the lock, that test fails by itself.
    let _mine = ONE_AT_A_TIME.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let wanted = readers().join(format!("{name}.txt"));
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("python-{name}"));
    let interpreter = home.join("bin/python");
    let installed = home.join("installed.txt");
    if std::fs::read(&installed).ok() == Some(std::fs::read(&wanted).unwrap()) {
        return interpreter;
    }
    done(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&home));
    done(
        Command::new(&interpreter)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(&wanted),
    );
    std::fs::copy(&wanted, &installed).unwrap();
    interpreter
}

pub fn readers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/readers")
}

/// Runs a command that must succeed.
pub fn done(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
