//! A retry does not use connections whose peer went silent.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Barrier;

use super::*;

/// A server that responds on every connection until `go_deaf`, and then only on new ones.
#[derive(Default)]
struct Deaf {
    connections: AtomicUsize,
    /// Connections below this number get no more responses.
    deaf_below: AtomicUsize,
    ignored: AtomicUsize,
}

impl Deaf {
    /// Delays the first `at_once` responses until all their requests have arrived, so that each uses its own
    /// connection.
    async fn start(at_once: usize) -> (Arc<Self>, Url) {
        let (server, barrier) = (Arc::new(Self::default()), Arc::new(Barrier::new(at_once)));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = server.clone();
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let number = accepting.connections.fetch_add(1, Ordering::SeqCst);
                let barrier = (number < at_once).then(|| barrier.clone());
                tokio::spawn(accepting.clone().serve(socket, number, barrier));
            }
        });
        (server, url.parse().unwrap())
    }

    async fn serve(self: Arc<Self>, mut socket: TcpStream, number: usize, mut barrier: Option<Arc<Barrier>>) {
        let mut request = Vec::new();
        while let Ok(read) = socket.read_buf(&mut request).await
            && read > 0
        {
            if !request.ends_with(b"\r\n\r\n") {
                continue;
            }
            request.clear();
            if let Some(barrier) = barrier.take() {
                barrier.wait().await;
            }
            if number < self.deaf_below.load(Ordering::SeqCst) {
                self.ignored.fetch_add(1, Ordering::SeqCst);
                continue;
            }
            let response = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{ROWS}", ROWS.len());
            socket.write_all(response.as_bytes()).await.unwrap();
        }
    }

    fn go_deaf(&self) {
        let so_far = self.connections.load(Ordering::SeqCst);
        self.deaf_below.store(so_far, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn a_retry_after_a_timeout_uses_a_new_connection() {
    for at_once in [1, 5] {
        let (server, url) = Deaf::start(at_once).await;
        let client = client(url);
        let pages = (0..at_once).map(|_| list(&client, None));
        for page in futures_util::future::join_all(pages).await {
            assert_eq!(page.unwrap().requests, 1);
        }
        server.go_deaf();
        let page = list(&client, None).await.unwrap();
        let count = |of: &AtomicUsize| of.load(Ordering::SeqCst);
        assert_eq!(
            (page.requests, count(&server.ignored), count(&server.connections)),
            (2, 1, at_once + 1),
            "{at_once} idle connections"
        );
    }
}

/// Sends a byte every 20 ms, forever, on the first connection. Counts the connections.
async fn start_dripping() -> (Arc<AtomicUsize>, Url) {
    let connections = Arc::new(AtomicUsize::new(0));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let accepted = connections.clone();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let number = accepted.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(async move {
                let mut request = Vec::new();
                while !request.ends_with(b"\r\n\r\n") && socket.read_buf(&mut request).await.unwrap() > 0 {}
                let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", ROWS.len());
                socket.write_all(head.as_bytes()).await.unwrap();
                if number > 0 {
                    return socket.write_all(ROWS.as_bytes()).await.unwrap();
                }
                while socket.write_all(b" ").await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    });
    (connections, url.parse().unwrap())
}

/// Each byte arrives in time, so only a limit for the whole response ends it.
#[tokio::test]
async fn a_response_that_never_ends_is_given_up_with_its_connection() {
    let (connections, url) = start_dripping().await;
    let mut client = client(url);
    client.longest_response = Duration::from_millis(500);
    let page = list(&client, None).await.unwrap();
    assert_eq!((page.requests, connections.load(Ordering::SeqCst)), (2, 2));
}
