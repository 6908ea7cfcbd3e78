//! A dataset in an S3-compatible object store, and an upload that fails in the middle.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::thread;

use super::*;
use crate::support::python::python;

/// moto's server with an empty bucket.
struct S3 {
    server: Child,
    address: SocketAddr,
}

impl S3 {
    fn start() -> Self {
        let python = python("s3");
        // A port that was free just before, because moto does not accept a socket.
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap()
            .local_addr()
            .unwrap();
        let mut server = Command::new(python)
            .args([
                "-m",
                "moto.server",
                "-H",
                "127.0.0.1",
                "-p",
                &address.port().to_string(),
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while TcpStream::connect(address).is_err() {
            assert_eq!(server.try_wait().unwrap(), None, "the server ended");
            thread::yield_now();
        }
        let s3 = Self { server, address };
        s3.ask("PUT /bucket");
        s3
    }

    fn ask(&self, request: &str) -> String {
        let mut socket = TcpStream::connect(self.address).unwrap();
        write!(
            socket,
            "{request} HTTP/1.0\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
        )
        .unwrap();
        let mut answer = String::new();
        socket.read_to_string(&mut answer).unwrap();
        assert!(answer.contains(" 200 "), "{request}: {answer}");
        answer
    }

    /// A proxy in front of the server that responds with 403 to requests that contain `refused`.
    fn refusing(&self, refused: &'static str) -> SocketAddr {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let (front, back) = (listener.local_addr().unwrap(), self.address);
        thread::spawn(move || {
            for client in listener.incoming() {
                thread::spawn(move || pass_on(client.unwrap(), TcpStream::connect(back).unwrap(), refused));
            }
        });
        front
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        self.server.kill().unwrap();
        self.server.wait().unwrap();
    }
}

fn pass_on(mut client: TcpStream, mut server: TcpStream, refused: &str) {
    let (mut answers, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || std::io::copy(&mut answers, &mut to_client));
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = client.read(&mut buffer) {
        let bytes = &buffer[..read];
        if bytes.windows(refused.len()).any(|window| window == refused.as_bytes()) {
            let _gone = client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            let _gone = client.shutdown(std::net::Shutdown::Both);
            let _gone = server.shutdown(std::net::Shutdown::Both);
            return;
        }
        if server.write_all(bytes).is_err() {
            return;
        }
    }
}

fn to_s3(recorded: &Recorded, endpoint: SocketAddr, args: &[&str]) -> Ended {
    on_s3(recorded, endpoint, &[&["export"], args].concat())
}

fn on_s3(recorded: &Recorded, endpoint: SocketAddr, args: &[&str]) -> Ended {
    let mut command = program(&recorded.simulator, &recorded.database, args);
    command
        .env("AWS_ENDPOINT", format!("http://{endpoint}"))
        .env("AWS_ALLOW_HTTP", "true")
        .env("AWS_REGION", "us-east-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "hidden-secret");
    run(command)
}

#[tokio::test]
#[ignore = "needs Python: scripts/test --all"]
async fn a_dataset_in_an_object_store_is_whole_or_not_there() {
    let recorded = recorded().await;
    let s3 = S3::start();
    let place = "s3://bucket/in/ventory";
    for moment in ["latest~1", "latest"] {
        let written = to_s3(
            &recorded,
            s3.address,
            &["objects", "--as-of", moment, "--output", place],
        );
        assert_eq!(written.code, Some(0), "{written:#?}");
        let verified = to_s3(&recorded, s3.address, &["verify", place]);
        assert_eq!(verified.code, Some(0), "{verified:#?}");
    }
    let listed = s3.ask("GET /bucket?list-type=2");
    assert_eq!(
        listed.matches("<Key>").count(),
        2,
        "the former dataset is gone: {listed}"
    );

    // More than one part of an upload. The second one is refused.
    recorded.simulator.seed(&recorded.namespace, 80_000, 3);
    let grown = run(sync(&recorded.simulator, &recorded.database, &["--accept-removals"]));
    assert_eq!(grown.code, Some(0), "{grown:#?}");
    let front = s3.refusing("partNumber=2");
    let args = ["objects", "--format", "jsonl", "--output", "s3://bucket/other"];
    let failed = to_s3(&recorded, front, &args);
    assert_eq!(failed.code, Some(1), "{failed:#?}");
    assert!(failed.stderr.contains("could not be written"), "{}", failed.stderr);
    assert!(!failed.stderr.contains("hidden-secret"), "{}", failed.stderr);
    let listed = s3.ask("GET /bucket?list-type=2&prefix=other");
    assert_eq!(listed.matches("<Key>").count(), 0, "{listed}");
    let uploads = s3.ask("GET /bucket?uploads");
    assert_eq!(
        uploads.matches("<UploadId>").count(),
        0,
        "nothing is left to pay for: {uploads}"
    );
    let none = to_s3(&recorded, s3.address, &["verify", "s3://bucket/other"]);
    assert!(none.stderr.contains("manifest.json is missing"), "{none:#?}");

    let whole = to_s3(&recorded, s3.address, &args);
    assert_eq!(whole.code, Some(0), "{whole:#?}");
    let verified = to_s3(&recorded, s3.address, &["verify", "s3://bucket/other"]);
    assert_eq!(verified.code, Some(0), "{verified:#?}");
    assert!(verified.stdout.contains("80,000 rows"), "{verified:#?}");

    // The object store is one side of a comparison, as a dataset and part by part.
    let listed = s3.ask("GET /bucket?list-type=2&prefix=other");
    let keys = listed.split("<Key>").filter_map(|rest| rest.split_once("</Key>"));
    let part = keys.map(|(key, _)| key).find(|key| key.ends_with(".jsonl")).unwrap();
    for side in ["s3://bucket/other", &format!("s3://bucket/{part}")] {
        let same = on_s3(&recorded, s3.address, &["diff", side, "latest", "--exit-code"]);
        assert_eq!(same.code, Some(0), "{side}: {same:#?}");
        assert!(same.stderr.contains("80,000 objects are identical"), "{same:#?}");
    }
}
