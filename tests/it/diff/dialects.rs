//! The reader of CSV beside Python's `csv` module, on files in dialects chosen at random.

use std::process::Command;

use super::*;
use crate::support::python::readers;

const FILES: usize = 150;

#[test]
#[ignore = "needs Python: scripts/test --all"]
fn python_reads_the_same_rows_or_a_file_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let seed = std::env::var("FUZZ_SEED").unwrap_or_else(|_| "1".to_owned());
    let written: Ended = Command::new("python3")
        .arg(readers().join("dialects.py"))
        .args([text(folder.path()), &FILES.to_string(), &seed])
        .output()
        .unwrap()
        .into();
    assert_eq!(written.code, Some(0), "{written:#?}");
    let mut read_in_spite_of_damage = 0;
    for number in 0..FILES {
        let path = |name: String| folder.path().join(name);
        let compare = |name: &str| {
            let (file, expected) = (path(format!("{name}.csv")), path(format!("{name}.expected.csv")));
            match expected.exists() {
                true => diff(&[text(&expected), text(&file), "--exit-code"]),
                false => diff(&[text(&file), text(&file), "--exit-code"]),
            }
        };
        let ended = compare(&number.to_string());
        let file = std::fs::read_to_string(path(format!("{number}.csv"))).unwrap();
        assert_eq!(ended.code, Some(0), "FUZZ_SEED={seed} {number}.csv: {ended:#?}\n{file}");

        let name = format!("broken{number}");
        let ended = compare(&name);
        let broken = std::fs::read_to_string(path(format!("{name}.csv"))).unwrap();
        let is_expected = path(format!("{name}.expected.csv")).exists();
        match ended.code {
            // The other side may have the id that no longer is one, too.
            Some(2) => {}
            Some(0) if is_expected => read_in_spite_of_damage += 1,
            _ => panic!("FUZZ_SEED={seed} {name}.csv: {ended:#?}\n{broken}"),
        }
    }
    assert!(
        read_in_spite_of_damage > FILES / 10,
        "{read_in_spite_of_damage} damaged files were read"
    );
}
