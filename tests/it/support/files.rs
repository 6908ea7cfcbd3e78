//! Files that tests write by hand.

use std::fs;
use std::path::PathBuf;

pub struct Files(tempfile::TempDir);

impl Files {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }

    /// Writes a file, with the folders in its name, and returns its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = PathBuf::from(self.path(name));
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        self.path(name)
    }
}

/// An object id of 64 equal digits.
pub fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

/// Replaces each digit from 1 to 5 that is not part of a longer word or number with an id.
pub fn rows(short: &str) -> String {
    let mut text = String::new();
    let all: Vec<char> = short.chars().collect();
    for (at, c) in all.iter().enumerate() {
        let joins = |at: Option<usize>| at.and_then(|at| all.get(at)).is_some_and(|c| c.is_ascii_digit());
        let is_alone = !joins(at.checked_sub(1)) && !joins(Some(at + 1));
        match c {
            '1'..='5' if is_alone => text += &id(*c),
            c => text.push(*c),
        }
    }
    text
}
