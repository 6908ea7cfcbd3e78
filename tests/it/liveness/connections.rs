//! The way to the API changes in mid-run.

use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cloudflare_simulator::{Fault, When};

use super::pages::{assert_recorded, room};
use crate::support::network::{Address, CA, tls_behind_portal};
use crate::support::program::{Ended, run, sync};

/// A connection breaks, and the next two end at a portal.
#[tokio::test]
async fn the_certificate_of_a_captive_portal_in_mid_run_is_waited_for() {
    let (simulator, database, namespace) = room(95).await;
    simulator.fault(&namespace, When::Nth(5), Fault::Reset);
    let address = tls_behind_portal(&simulator, |number| matches!(number, 2 | 3));
    let mut command = sync(&simulator, &database, &["--limit", "10"]);
    command
        .env("CLOUDFLARE_API_BASE_URL", format!("https://{address}/client/v4"))
        .env("SSL_CERT_FILE", CA);
    let ended = run(command);
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    let caught = ended.stderr.matches("the certificate of the API is not trusted here");
    assert_eq!(caught.count(), 2, "{ended:#?}");
    // The portal's connections brought no request to the API.
    assert_eq!(simulator.requests_to(&namespace).len(), 11, "{ended:#?}");
}

/// Until the API has responded once, the certificate is a mistake on this machine, and a longer wait would not help.
#[tokio::test]
async fn a_certificate_that_is_not_trusted_from_the_start_is_final() {
    let (simulator, database, _) = room(95).await;
    let address = tls_behind_portal(&simulator, |_| true);
    let mut command = sync(&simulator, &database, &[]);
    command
        .env("CLOUDFLARE_API_BASE_URL", format!("https://{address}/client/v4"))
        .env("SSL_CERT_FILE", CA);
    let begun = Instant::now();
    let ended = run(command);
    assert_eq!(ended.code, Some(1), "{ended:#?}");
    assert!(begun.elapsed() < Duration::from_secs(20), "{ended:#?}");
    assert!(
        ended.stdout.contains("the certificate of the API is not trusted here"),
        "{ended:#?}"
    );
    assert_eq!(simulator.requests().len(), 0);
}

/// `localhost` has both addresses in a hosts file that only the program sees.
#[tokio::test]
#[ignore = "needs the right to mount (unshare): scripts/test --all"]
async fn an_address_that_falls_silent_in_mid_run_is_left_for_the_next() {
    let (simulator, database, namespace) = room(95).await;
    let folder = tempfile::tempdir().unwrap();
    let hosts = folder.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost\n127.0.0.2 localhost\n").unwrap();
    let one = Address::listen(&simulator, (IpAddr::from(Ipv4Addr::LOCALHOST), 0));
    let port = one.socket.port();
    let two = Address::listen(&simulator, (IpAddr::from([127, 0, 0, 2]), port));
    let hold = simulator.hold_at(&namespace, 5);
    let args = ["--limit", "10", "--read-timeout", "1s", "--retry-for", "20s"];
    let mut command = with_hosts(&hosts, &sync(&simulator, &database, &args));
    command.env("CLOUDFLARE_API_BASE_URL", format!("http://localhost:{port}/client/v4"));
    let child = command.spawn().unwrap();
    hold.wait_until_held().await;
    let (silent, other) = if one.accepted() > 0 { (one, two) } else { (two, one) };
    assert_eq!(other.accepted(), 0);
    silent.fall_silent();
    hold.release();
    let ended = Ended::from(child.wait_with_output().unwrap());
    assert_recorded(&ended, &simulator, &database, &namespace).await;
    assert!(ended.stderr.contains("did not respond in time"), "{ended:#?}");
    assert!(other.accepted() > 0);
    assert_eq!(simulator.requests_to(&namespace).len(), 11, "one timeout: {ended:#?}");
}

/// The same command with another `/etc/hosts`, in a mount namespace of its own. Within a user namespace root could not
/// reach the database's socket, which belongs to another user.
fn with_hosts(hosts: &Path, program: &Command) -> Command {
    let script = "mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";
    let mut command = Command::new("unshare");
    if !rustix::process::geteuid().is_root() {
        command.args(["--user", "--map-root-user"]);
    }
    command
        .args(["--mount", "sh", "-c", script, "sh"])
        .arg(hosts)
        .arg(program.get_program())
        .args(program.get_args())
        .env_clear()
        .envs(program.get_envs().filter_map(|(name, value)| Some((name, value?))))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}
