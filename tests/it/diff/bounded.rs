//! Files and folders that claim more than they have, or have more than fits into memory. Everything here runs under a
//! limit of memory and of processor time.

use std::fs;
use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::*;
use crate::support::files::{Files, id};
use crate::support::memory::limited;

/// `count` times a MiB of one byte, as a file of as many parts.
fn gzip(byte: u8, count: usize) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&vec![byte; 1 << 20]).unwrap();
    encoder.finish().unwrap().repeat(count)
}

fn limited_diff(from: &str, to: &str) -> Ended {
    run(limited(&bare(&["diff", from, to, "--exit-code"])))
}

#[test]
fn text_of_any_shape_takes_little_memory() {
    let files = Files::new();
    let one = files.write("one.csv", format!("object_id\n{}\n", id('1')));
    let row = |n: u32, namespace: &str| format!("{namespace},{n:064x}\n").into_bytes();
    let long = "n".repeat(100_000);
    for (name, bytes, told) in [
        ("zeros.csv.gz", gzip(0, 300), "a binary file of an unknown kind"),
        ("line.csv.gz", gzip(b'a', 300), "line 1 is longer than 1 MiB"),
        ("cells.csv", vec![b','; 1_000_000], "line 1 has more than 16384 cells"),
        ("array.json", vec![b'['; 1_000_000], "line 1 is not a JSON object"),
        (
            "value.json",
            [b"[\"".to_vec(), vec![b'\\'; 3_000_000]].concat(),
            "line 1 is longer than 1 MiB",
        ),
        (
            "deep.jsonl",
            [b"{\"id\":".to_vec(), vec![b'['; 900_000]].concat(),
            "line 1 is not the expected JSON",
        ),
        (
            "namespaces.csv",
            [b"namespace_id,object_id\n".to_vec()]
                .into_iter()
                .chain((0..200).map(|n| row(n, &format!("{long}{n}"))))
                .collect::<Vec<_>>()
                .concat(),
            "ids of them of more than 8 MiB",
        ),
    ] {
        let file = files.write(name, bytes);
        let ended = limited_diff(&file, &one);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{name}: {ended:#?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{name}: {ended:#?}");
        assert!(ended.stderr.contains(told), "{name}: {}", ended.stderr);
    }
    // zstd needs a window as large as the writer chose.
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"object_id\n").unwrap();
    let window = files.write("window.csv.zst", encoder.finish().unwrap());
    let ended = limited_diff(&window, &one);
    assert!(ended.stderr.contains("zstd -dc --long=31 FILE"), "{ended:#?}");
    // Rows of alternating namespaces.
    let alternating = (0..100_000).map(|n| row(n, if n % 2 == 0 { "even" } else { "odd" }));
    let alternating = files.write(
        "two.csv",
        [b"namespace_id,object_id\n".to_vec()]
            .into_iter()
            .chain(alternating)
            .collect::<Vec<_>>()
            .concat(),
    );
    let ended = limited_diff(&alternating, &alternating);
    assert_eq!(ended.code, Some(0), "{ended:#?}");
    for device in ["/dev/zero", "/dev/urandom"] {
        let ended = limited_diff(&one, device);
        assert!(
            ended.stderr.contains("a binary file of an unknown kind"),
            "{device}: {ended:#?}"
        );
    }
}

/// A manifest of `namespaces` empty namespaces, and as many files.
fn manifest(namespaces: usize) -> Value {
    let namespace = |n: usize| {
        json!({
            "account_id": "a", "namespace_id": format!("{n:032x}"), "snapshot_id": 1, "started_at": "x",
            "finished_at": "x", "recorded_at": "x", "objects": 0, "digest": "0".repeat(64), "digest_version": 1,
            "rows": 0, "name": null, "since_snapshot_id": null,
        })
    };
    let file = |n: usize| {
        let path = format!("account_id=a/namespace_id={n:032x}/snapshot=1/part-0000.csv");
        json!({"path": path, "rows": 0, "bytes": 0, "sha256": ""})
    };
    json!({
        "format_version": 1, "created_by": "x", "created_at": "x", "table": "objects", "format": "csv", "complete": true,
        "columns": [{"name": "object_id", "type": "text", "nullable": false}],
        "namespaces": (0..namespaces).map(namespace).collect::<Vec<_>>(),
        "files": (0..namespaces).map(file).collect::<Vec<_>>(),
    })
}

#[test]
fn a_manifest_of_any_size_takes_little_memory_and_time() {
    let files = Files::new();
    let write = |manifest: &[u8]| {
        files.write("set/manifest.json", manifest);
        format!("{}/", files.path("set"))
    };
    let verified = |place: &str| run(limited(&bare(&["export", "verify", place])));
    let place = write(manifest(30_000).to_string().as_bytes());
    let ended = limited_diff(&place, &place);
    // The digests are not in the rows, so each file is opened, and the first one is missing.
    assert_eq!(ended.code, Some(2), "{ended:#?}");
    assert!(ended.stderr.contains("could not be read: No such file"), "{ended:#?}");
    let ended = verified(&place);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert_eq!(ended.stdout.matches("it is missing").count(), 30_000);

    let place = write(&[manifest(1).to_string().into_bytes(), vec![b' '; 16 << 20]].concat());
    for ended in [limited_diff(&place, &place), verified(&place)] {
        assert!(ended.stderr.contains("it has more than 16 MiB"), "{ended:#?}");
    }
    let path = files.path("set/manifest.json");
    fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    for ended in [limited_diff(&place, &place), verified(&place)] {
        assert!(
            ended.stderr.contains("is a symbolic link, which is not followed"),
            "{ended:#?}"
        );
    }
    // A part that is a pipe or a device is refused, in a folder without a manifest too.
    fs::remove_file(&path).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RWXU).unwrap();
    let ended = limited_diff(&place, &place);
    assert_eq!(ended.code, Some(2), "{ended:#?}");
}
