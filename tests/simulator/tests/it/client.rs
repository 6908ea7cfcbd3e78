//! A minimal client that distinguishes a truncated response from a complete one.

use std::collections::BTreeMap;
use std::io;

use cloudflare_simulator::{Row, Simulator, parse_id};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::ACCOUNT;

pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Reply {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    pub fn code(&self) -> Value {
        self.json()["errors"][0]["code"].clone()
    }

    pub fn rows(&self) -> Vec<Row> {
        let json = self.json();
        let rows = json["result"].as_array().unwrap().iter();
        rows.map(|row| {
            (
                parse_id(row["id"].as_str().unwrap()).unwrap(),
                row["hasStoredData"].as_bool(),
            )
        })
        .collect()
    }

    /// The cursor from whichever key has it; `None` on the last page.
    pub fn cursor(&self) -> Option<String> {
        let info = &self.json()["result_info"];
        let text = info["cursor"].as_str().or_else(|| info["cursors"]["after"].as_str());
        text.filter(|text| !text.is_empty()).map(str::to_owned)
    }
}

pub async fn send(simulator: &Simulator, method: &str, path: &str, headers: &str) -> io::Result<Reply> {
    send_to(&simulator.base_url(), method, path, headers).await
}

pub async fn send_to(base_url: &str, method: &str, path: &str, headers: &str) -> io::Result<Reply> {
    let authority = base_url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    let mut socket = TcpStream::connect(authority).await?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n{headers}\r\n");
    socket.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).await?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?;
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    Ok(Reply {
        status,
        headers: headers
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect(),
        body: body.to_owned(),
    })
}

pub async fn get(simulator: &Simulator, path: &str) -> Reply {
    let path = format!("/client/v4/accounts/{ACCOUNT}/workers/durable_objects/namespaces{path}");
    send(simulator, "GET", &path, "Authorization: Bearer token\r\n")
        .await
        .unwrap()
}

pub async fn page(simulator: &Simulator, namespace: &str, cursor: Option<&str>, limit: usize) -> Reply {
    let cursor = cursor.map(|cursor| format!("&cursor={cursor}")).unwrap_or_default();
    get(simulator, &format!("/{namespace}/objects?limit={limit}{cursor}")).await
}

/// Reads all pages, at most 1,000.
pub async fn walk(simulator: &Simulator, namespace: &str, limit: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    let mut cursor = None;
    for _ in 0..1_000 {
        let reply = page(simulator, namespace, cursor.as_deref(), limit).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        rows.extend(reply.rows());
        cursor = reply.cursor();
        if cursor.is_none() {
            return rows;
        }
    }
    panic!("the walk has no end");
}
