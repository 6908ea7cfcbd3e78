//! A dataset is not replaced by one that lacks some of its namespaces, unless `--replace` is given.

use std::fs;

use cloudflare_simulator::{Fault, When};
use tempfile::TempDir;

use super::broken::files;
use super::*;

/// Three namespaces, and a dataset of all of them.
struct Lake {
    simulator: Simulator,
    database: TestDatabase,
    chat: String,
    other: String,
    folder: TempDir,
}

impl Lake {
    async fn new() -> Self {
        let (simulator, database) = (simulator().await, fresh_database().await);
        let chat = simulator.add_namespace(ACCOUNT, "chat_Room");
        let other = simulator.add_namespace(ACCOUNT, "other_Room");
        let last = simulator.add_namespace(ACCOUNT, "third_Room");
        for (namespace, seed) in [(&chat, 1), (&other, 2), (&last, 3)] {
            simulator.seed(namespace, 40, seed);
        }
        let lake = Self {
            simulator,
            database,
            chat,
            other,
            folder: tempfile::tempdir().unwrap(),
        };
        let whole = lake.sync(&[]);
        assert_eq!(whole.code, Some(0), "{whole:#?}");
        assert_eq!(lake.content().len(), 4);
        lake
    }

    fn place(&self) -> &str {
        self.folder.path().to_str().unwrap()
    }

    fn sync(&self, more: &[&str]) -> Ended {
        let args = [&["--export", self.place()], more].concat();
        run(sync(&self.simulator, &self.database, &args))
    }

    fn run(&self, args: &[&str]) -> Ended {
        run(program(&self.simulator, &self.database, args))
    }

    /// All files with their bytes.
    fn content(&self) -> BTreeMap<String, Vec<u8>> {
        let names = files(self.folder.path()).into_iter();
        names
            .map(|name| (name.clone(), fs::read(self.folder.path().join(name)).unwrap()))
            .collect()
    }

    /// Asserts that a sync records what it can and leaves the dataset as it is.
    fn refuses(&self, more: &[&str], names: &[&str]) {
        let before = self.content();
        let ended = self.sync(more);
        assert_eq!(ended.code, Some(3), "{more:?}: {ended:#?}");
        let told = ended.json();
        assert_eq!(told["exit_code"], 3);
        let published = told["namespaces"].as_array().unwrap().iter();
        assert!(published.filter(|n| n["status"] == "complete").count() > 0, "{told:#}");
        for name in names.iter().chain(&["--replace", self.place()]) {
            assert!(ended.stderr.contains(name), "{name}: {}", ended.stderr);
        }
        assert!(self.content() == before, "{more:?}: the dataset was touched");
    }
}

#[tokio::test]
async fn a_sync_of_some_namespaces_leaves_a_dataset_of_more_alone() {
    let lake = Lake::new().await;
    lake.refuses(
        &["--namespace", "chat_*"],
        &["other_Room", "third_Room", "2 of its 3 namespaces"],
    );
    let recorded = lake.run(&["snapshots", "--namespace", "chat_*", "--output", "json"]);
    assert_eq!(
        recorded.stdout.lines().count(),
        2,
        "the run is recorded all the same: {recorded:#?}"
    );

    // The refusal comes before the walk, too.
    let ended = lake.sync(&["--namespace", "chat_*"]);
    assert_eq!(ended.stderr.matches("other_Room").count(), 2, "{}", ended.stderr);

    let replaced = lake.sync(&["--namespace", "chat_*", "--replace"]);
    assert_eq!(replaced.code, Some(0), "{replaced:#?}");
    assert_eq!(lake.content().len(), 2);
    // Additional namespaces are not a loss.
    let grown = lake.sync(&[]);
    assert_eq!(grown.code, Some(0), "{grown:#?}");
    assert_eq!(lake.content().len(), 4);
}

#[tokio::test]
async fn a_sync_that_could_not_publish_all_leaves_the_dataset_alone() {
    let lake = Lake::new().await;
    // The namespace failed.
    let refused = Fault::cursors_differ();
    lake.simulator.fault(&lake.other, When::Always, refused);
    lake.refuses(&[], &["other_Room", "1 of its 3 namespaces"]);
    let well = || {
        lake.simulator
            .with_namespace(&lake.other, |namespace| namespace.faults.clear())
    };
    well();
    // The namespace is held.
    let kept = lake.simulator.truth(&lake.other);
    for id in kept.keys() {
        lake.simulator.remove_object(&lake.other, id);
    }
    lake.refuses(&[], &["other_Room"]);
    for (id, flag) in kept {
        lake.simulator.put_object(&lake.other, id, flag);
    }
    // The deadline interrupted the namespace.
    let slow = Fault::Delay(std::time::Duration::from_secs(10));
    lake.simulator.fault(&lake.other, When::Always, slow);
    lake.refuses(&["--deadline", "3s", "--limit", "10"], &["other_Room"]);
    well();
    // The namespace is busy in another run.
    let hold = lake.simulator.hold_at(&lake.other, 1);
    let holder = ["--namespace", &lake.other];
    let mut holder = sync(&lake.simulator, &lake.database, &holder).spawn().unwrap();
    hold.wait_until_held().await;
    lake.refuses(&[], &["other_Room"]);
    hold.release();
    assert_eq!(holder.wait().unwrap().code(), Some(0));
}

/// A missing namespace keeps its objects, in the record and in the dataset, until someone retires it.
#[tokio::test]
async fn a_vanished_namespace_stays_in_the_dataset_until_it_is_retired() {
    let lake = Lake::new().await;
    lake.simulator.remove_namespace(&lake.other);
    lake.refuses(&[], &["other_Room"]);
    // Exports and comparisons say so of its objects.
    let file = lake.folder.path().with_extension("csv");
    let exported = lake.run(&["export", "objects", "--output", file.to_str().unwrap()]);
    fs::remove_file(file).unwrap();
    let told = "; 40 of them are of a missing namespace, which `report` does not count";
    assert!(exported.stderr.contains(told), "{exported:#?}");
    let compared = lake.run(&["diff", "latest~1", "latest"]);
    let told = "namespace other_Room (missing, last recorded at ";
    assert!(compared.stderr.contains(told), "{compared:#?}");
    let told = ") has fewer than 2 snapshots, so none is latest~1: its first snapshot is from ";
    assert!(compared.stderr.contains(told), "{compared:#?}");
    let retired = lake.run(&["namespaces", "retire", &lake.other]);
    assert_eq!(retired.code, Some(0), "{retired:#?}");
    let ended = lake.sync(&[]);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    assert_eq!(lake.content().len(), 3);
}

#[tokio::test]
async fn another_account_is_another_dataset() {
    let lake = Lake::new().await;
    let account = "f".repeat(32);
    lake.simulator.add_account(&account, "another-token");
    let theirs = lake.simulator.add_namespace(&account, "their_Room");
    lake.simulator.seed(&theirs, 10, 4);
    let before = lake.content();
    let mut command = sync(&lake.simulator, &lake.database, &["--export", lake.place()]);
    command
        .env("CLOUDFLARE_ACCOUNT_ID", &account)
        .env("CLOUDFLARE_API_TOKEN", "another-token");
    let ended = run(command);
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stderr.contains("3 of its 3 namespaces"), "{}", ended.stderr);
    assert!(lake.content() == before);
}

/// The export is compared with the dataset at its own start, not with the one at the start of the sync.
#[tokio::test]
async fn what_another_export_brought_meanwhile_stays() {
    let lake = Lake::new().await;
    let reduced = lake.sync(&["--namespace", "chat_*", "--replace"]);
    assert_eq!(reduced.code, Some(0), "{reduced:#?}");
    let hold = lake.simulator.hold_at(&lake.chat, 1);
    let args = ["--namespace", "chat_*", "--export", lake.place()];
    let waiting = sync(&lake.simulator, &lake.database, &args).spawn().unwrap();
    hold.wait_until_held().await;
    let whole = lake.run(&["export", "objects", "--output", lake.place()]);
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    let before = lake.content();
    hold.release();
    let ended = Ended::from(waiting.wait_with_output().unwrap());
    assert_eq!(ended.code, Some(3), "{ended:#?}");
    assert!(ended.stderr.contains("2 of its 3 namespaces"), "{}", ended.stderr);
    assert!(lake.content() == before);
}

#[tokio::test]
async fn an_export_of_less_or_of_something_else_has_to_say_so() {
    let lake = Lake::new().await;
    let young = lake.simulator.add_namespace(ACCOUNT, "young_Room");
    lake.simulator.seed(&young, 5, 5);
    let whole = lake.sync(&[]);
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    let (before, place) = (lake.content(), lake.place());
    for (args, named) in [
        (&["objects", "--namespace", "chat_*"][..], "other_Room"),
        (&["objects", "--namespace", &lake.chat], "3 of its 4 namespaces"),
        (&["objects", "--as-of", "latest~1"], "young_Room"),
        (&["changes"], "a dataset of objects"),
        (&["history"], "a dataset of objects"),
    ] {
        let ended = lake.run(&[&["export"], args, &["--output", place]].concat());
        assert_eq!(ended.code, Some(2), "{args:?}: {ended:#?}");
        for told in [named, "--replace", place] {
            assert!(ended.stderr.contains(told), "{told}: {}", ended.stderr);
        }
        assert!(lake.content() == before, "{args:?}: the dataset was touched");
    }
    let replaced = lake.run(&["export", "changes", "--output", place, "--replace"]);
    assert_eq!(replaced.code, Some(0), "{replaced:#?}");
    let verified = lake.run(&["export", "verify", place]);
    assert_eq!(verified.code, Some(0), "{verified:#?}");
    // A sync reports before its walk that it won't replace another table.
    lake.refuses(&[], &["a dataset of changes"]);
}
