//! Programs from PyPI that read what we write, in an environment of their own with the build's other files.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

/// The interpreter of an environment with the packages of `tests/readers/NAME.txt`. It stays for the next run.
pub fn python(name: &str) -> PathBuf {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    // Another test's panic is told by that test.
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

fn done(command: &mut Command) {
    assert!(command.status().unwrap().success(), "{command:?}");
}
