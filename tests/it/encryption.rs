//! A database on another machine that declines TLS. The program sends the password in clear text only if the user
//! requested it, and warns if the mode permits it.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use crate::support::program::{Ended, bare, run};

const PASSWORD: &str = "clear-text-mark";
/// The request for TLS with which a session begins.
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 4, 210, 22, 47];
const CLEAR_TEXT_PASSWORD: &[u8] = b"R\0\0\0\x08\0\0\0\x03";
const REFUSED: &[u8] = b"E\0\0\0\x3aSFATAL\0VFATAL\0C28P01\0Mpassword authentication failed\0\0";

/// Declines TLS, then requests the password in clear text and refuses it.
struct Server {
    port: u16,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Server {
    fn start() -> Self {
        // The tests reach the server by any address of this machine.
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            heard: Arc::default(),
        };
        let heard = server.heard.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let heard = heard.clone();
                thread::spawn(move || talk(stream, &heard));
            }
        });
        server
    }

    fn heard(&self) -> usize {
        self.heard.lock().unwrap().len()
    }

    fn heard_the_password(&self) -> bool {
        let heard = self.heard.lock().unwrap();
        heard.windows(PASSWORD.len()).any(|bytes| bytes == PASSWORD.as_bytes())
    }

    /// `0.0.0.0` leads to this machine too, but is not a loopback address.
    fn url(&self, host: &str, query: &str) -> String {
        format!("postgres://u:{PASSWORD}@{host}:{}/d{query}", self.port)
    }
}

fn talk(mut stream: impl Read + Write, heard: &Mutex<Vec<u8>>) {
    loop {
        let mut bytes = [0; 4096];
        let Ok(length @ 1..) = stream.read(&mut bytes) else {
            return;
        };
        heard.lock().unwrap().extend(&bytes[..length]);
        let answer = match &bytes[..length] {
            bytes if bytes == SSL_REQUEST => &b"N"[..],
            [b'p', ..] => REFUSED,
            _ => CLEAR_TEXT_PASSWORD,
        };
        if stream.write_all(answer).is_err() {
            return;
        }
    }
}

fn asked(args: &[&str], url: &str, variables: &[(&str, &str)]) -> Ended {
    let mut command: Command = bare(args);
    command.env("DATABASE_URL", url).envs(variables.iter().copied());
    let ended = run(command);
    let said = format!("{}{}", ended.stdout, ended.stderr);
    assert!(!said.contains(PASSWORD), "{ended:#?}");
    assert_ne!(ended.code, Some(0), "{ended:#?}");
    ended
}

const COMMANDS: [&[&str]; 4] = [&["namespaces"], &["check"], &["migrate"], &["psql", "-c", "select 1"]];

#[test]
fn another_machine_gets_no_password_without_tls() {
    for args in COMMANDS {
        for query in ["", "?sslmode=require", "?sslmode=verify-full"] {
            let server = Server::start();
            let ended = asked(args, &server.url("0.0.0.0", query), &[]);
            assert!(server.heard() > 0, "it was asked: {ended:#?}");
            assert!(!server.heard_the_password(), "{args:?} {query}: {ended:#?}");
            // psql has its own wording.
            if args[0] != "psql" {
                let said = format!("{}{}", ended.stdout, ended.stderr);
                for part in ["does not offer TLS", "sslmode=disable", "unencrypted"] {
                    assert!(said.contains(part), "{args:?}: {ended:#?}");
                }
            }
        }
    }
}

/// Clear text is permitted by the URL, by libpq's variable, or because the host is this machine.
#[test]
fn what_is_asked_for_is_done() {
    for (host, query, variables) in [
        ("0.0.0.0", "?sslmode=disable", &[][..]),
        ("0.0.0.0", "", &[("PGSSLMODE", "disable")]),
        ("127.0.0.1", "", &[]),
        ("localhost", "", &[]),
    ] {
        let server = Server::start();
        let ended = asked(&["namespaces"], &server.url(host, query), variables);
        assert!(server.heard_the_password(), "{host}{query}: {ended:#?}");
        assert!(!ended.stderr.contains("unencrypted"), "{ended:#?}");
    }
    // The URL takes precedence, and an empty variable counts as unset.
    for (query, variables) in [
        ("?sslmode=require", &[("PGSSLMODE", "disable")]),
        ("", &[("PGSSLMODE", "")]),
    ] {
        let server = Server::start();
        let ended = asked(&["namespaces"], &server.url("0.0.0.0", query), variables);
        assert!(!server.heard_the_password(), "{query}: {ended:#?}");
    }
}

/// Both modes let the server choose. The warning comes before the password is sent, because a refused login ends the
/// program.
#[test]
fn a_server_that_may_choose_is_told_of() {
    for mode in ["prefer", "allow"] {
        for args in COMMANDS {
            let server = Server::start();
            let ended = asked(args, &server.url("0.0.0.0", &format!("?sslmode={mode}")), &[]);
            assert!(server.heard_the_password(), "{mode} {args:?}: {ended:#?}");
            assert!(ended.stderr.contains("unencrypted"), "{mode} {args:?}: {ended:#?}");
        }
    }
}

#[test]
fn an_unknown_mode_is_refused_by_its_name() {
    let server = Server::start();
    for (query, variables, name) in [
        ("?sslmode=none-of-them", &[][..], "sslmode"),
        ("", &[("PGSSLMODE", "none-of-them")], "PGSSLMODE"),
    ] {
        let ended = asked(&["namespaces"], &server.url("0.0.0.0", query), variables);
        assert_eq!(ended.code, Some(2), "{ended:#?}");
        assert!(
            ended.stderr.contains(name) && ended.stderr.contains("verify-full"),
            "{ended:#?}"
        );
        assert!(!ended.stderr.contains("none-of-them"), "{ended:#?}");
    }
    assert_eq!(server.heard(), 0);
}
