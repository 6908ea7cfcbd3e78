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
    /// Delays the first `at_once` responses until all their requests have arrived, so that each uses its own connection.
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
