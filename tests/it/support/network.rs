//! What may lie between the program and the API: TLS with a CA of its own, and proxies. Each listens on a thread of its
//! own, because tests block theirs while the program runs.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use cloudflare_simulator::Simulator;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

/// The CA of [`tls`], for `SSL_CERT_FILE`.
pub const CA: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/support/tls/ca.pem");

/// Serves every connection with `serve`, until the test process ends.
fn listen<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    listen_on(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), serve)
}

fn listen_on<F>(listener: std::net::TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = io::Result<()>> + Send + 'static,
{
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let listener = TcpListener::from_std(listener).unwrap();
            loop {
                let (connection, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(connection));
            }
        })
    });
    address
}

const SERVER: &[u8] = include_bytes!("tls/server.der");
/// Signed by itself.
const PORTAL: &[u8] = include_bytes!("tls/portal.der");

/// Both certificates are for the same key, and valid for 127.0.0.1.
fn acceptor(certificate: &'static [u8]) -> TlsAcceptor {
    let certificate = CertificateDer::from(certificate);
    let key = PrivatePkcs8KeyDer::from(&include_bytes!("tls/server.key.der")[..]);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key.into())
        .unwrap();
    Arc::new(config).into()
}

/// Puts TLS in front of a simulator. Returns its address on this machine, for which the certificate is valid.
pub fn tls(simulator: &Simulator) -> SocketAddr {
    tls_behind_portal(simulator, |_| false)
}

/// The same, but the connections of which `is_caught` is true, by their number from 1, get the certificate of a captive
/// portal.
pub fn tls_behind_portal(simulator: &Simulator, is_caught: impl Fn(usize) -> bool + Send + 'static) -> SocketAddr {
    let simulator = address(simulator);
    let (server, portal) = (acceptor(SERVER), acceptor(PORTAL));
    let connections = AtomicUsize::new(0);
    listen(move |client| {
        let number = 1 + connections.fetch_add(1, Ordering::Relaxed);
        let acceptor = if is_caught(number) { &portal } else { &server }.clone();
        async move {
            let mut client = acceptor.accept(client).await?;
            let mut server = TcpStream::connect(simulator).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
    })
}

/// Certificates for a database on 127.0.0.1 and localhost, with the same key.
pub mod certificates {
    /// Signed by [`super::CA`].
    pub const SIGNED: &[u8] = super::SERVER;
    /// Signed by itself.
    pub const SELF_SIGNED: &[u8] = include_bytes!("tls/self_signed.der");
    /// Signed by itself, and that of a certificate authority: what `openssl req -x509` creates.
    pub const OWN_AUTHORITY: &[u8] = super::PORTAL;
}

/// Listens on `at` for sessions of the PostgreSQL server behind this socket. With a certificate, it offers TLS.
pub fn postgres(at: SocketAddr, socket: PathBuf, certificate: Option<&'static [u8]>) -> io::Result<SocketAddr> {
    let acceptor = certificate.map(acceptor);
    let listener = std::net::TcpListener::bind(at)?;
    Ok(listen_on(listener, move |mut client| {
        let (acceptor, socket) = (acceptor.clone(), socket.clone());
        async move {
            let mut server = UnixStream::connect(socket).await?;
            let Some(acceptor) = acceptor else {
                copy_bidirectional(&mut client, &mut server).await?;
                return Ok(());
            };
            let mut request = [0; 8];
            client.read_exact(&mut request).await?;
            client.write_all(b"S").await?;
            let mut client = acceptor.accept(client).await?;
            copy_bidirectional(&mut client, &mut server).await?;
            Ok(())
        }
    }))
}

/// A further address of a simulator, which can fall silent.
pub struct Address {
    pub socket: SocketAddr,
    is_silent: watch::Sender<bool>,
    accepted: Arc<AtomicUsize>,
}

impl Address {
    /// Listens on `at`, and passes everything on to the simulator.
    pub fn listen(simulator: &Simulator, at: (IpAddr, u16)) -> Self {
        let (simulator, is_silent, accepted) = (address(simulator), watch::Sender::new(false), Arc::default());
        let (silence, count) = (is_silent.clone(), Arc::<AtomicUsize>::clone(&accepted));
        let socket = listen_on(std::net::TcpListener::bind(at).unwrap(), move |mut client| {
            count.fetch_add(1, Ordering::Relaxed);
            let mut silence = silence.subscribe();
            async move {
                let mut server = TcpStream::connect(simulator).await?;
                tokio::select! {
                    biased;
                    _ = silence.wait_for(|is_silent| *is_silent) => {}
                    passed = copy_bidirectional(&mut client, &mut server) => return passed.map(drop),
                }
                // The client's side stays open.
                std::future::pending().await
            }
        });
        Self {
            socket,
            is_silent,
            accepted,
        }
    }

    /// From now on no connection gets a response, though each is accepted.
    pub fn fall_silent(&self) {
        self.is_silent.send_replace(true);
    }

    /// The number of connections so far.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::Relaxed)
    }
}

pub fn address(simulator: &Simulator) -> SocketAddr {
    url::Url::parse(&simulator.base_url())
        .unwrap()
        .socket_addrs(|| None)
        .unwrap()[0]
}

/// A proxy, and the first bytes of each connection to it.
#[derive(Clone)]
pub struct Proxy {
    pub address: SocketAddr,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// An HTTP proxy. `respond` gets the number of the request, from 1, and returns a refusal, or `None` to open the
    /// tunnel.
    pub fn http(respond: impl Fn(usize) -> Option<&'static str> + Send + Sync + Copy + 'static) -> Self {
        Self::start(move |mut client, heads| async move { tunnel(&mut client, &heads, respond).await })
    }

    /// The same behind TLS.
    pub fn https(respond: impl Fn(usize) -> Option<&'static str> + Send + Sync + Copy + 'static) -> Self {
        let acceptor = acceptor(SERVER);
        Self::start(move |client, heads| {
            let acceptor = acceptor.clone();
            async move { tunnel(&mut acceptor.accept(client).await?, &heads, respond).await }
        })
    }

    /// A SOCKS5 proxy that knows host names, and answers with this code: 0 opens the connection.
    pub fn socks(code: u8) -> Self {
        Self::start(move |mut client, heads| async move { socks(&mut client, &heads, code).await })
    }

    fn start<F>(serve: impl Fn(TcpStream, Arc<Mutex<Vec<String>>>) -> F + Send + 'static) -> Self
    where
        F: Future<Output = io::Result<()>> + Send + 'static,
    {
        let heads = Arc::<Mutex<Vec<String>>>::default();
        let shared = heads.clone();
        let address = listen(move |client| serve(client, shared.clone()));
        Self { address, heads }
    }

    pub fn heads(&self) -> Vec<String> {
        self.heads.lock().unwrap().clone()
    }
}

async fn tunnel(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    heads: &Mutex<Vec<String>>,
    respond: impl Fn(usize) -> Option<&'static str>,
) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.read_u8().await?);
    }
    let head = String::from_utf8(head).unwrap();
    let target = head.split(' ').nth(1).unwrap().to_owned();
    let number = {
        let mut heads = heads.lock().unwrap();
        heads.push(head);
        heads.len()
    };
    match respond(number) {
        Some(refusal) => client.write_all(refusal.as_bytes()).await,
        None => {
            let mut server = TcpStream::connect(&target).await?;
            client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await?;
            copy_bidirectional(client, &mut server).await.map(drop)
        }
    }
}

/// RFC 1928, without authentication.
async fn socks(client: &mut TcpStream, heads: &Mutex<Vec<String>>, code: u8) -> io::Result<()> {
    let mut greeting = [0; 2];
    client.read_exact(&mut greeting).await?;
    let mut methods = vec![0; greeting[1].into()];
    client.read_exact(&mut methods).await?;
    client.write_all(&[5, 0]).await?;
    let mut request = [0; 4];
    client.read_exact(&mut request).await?;
    let host = match request[3] {
        1 => {
            let mut ip = [0; 4];
            client.read_exact(&mut ip).await?;
            std::net::Ipv4Addr::from(ip).to_string()
        }
        _ => {
            let mut name = vec![0; client.read_u8().await?.into()];
            client.read_exact(&mut name).await?;
            String::from_utf8(name).unwrap()
        }
    };
    let target = format!("{host}:{}", client.read_u16().await?);
    heads.lock().unwrap().push(target.clone());
    client.write_all(&[5, code, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    if code == 0 {
        let mut server = TcpStream::connect(&target).await?;
        copy_bidirectional(client, &mut server).await?;
    }
    Ok(())
}
