//! The addresses of a host. Each new connection resolves the name anew, and a retry begins with the address after the
//! one that failed: a server that accepts connections but does not respond would otherwise be used for every retry.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the failed attempts of one client.
#[derive(Clone, Default)]
pub(super) struct Addresses {
    failures: Arc<AtomicUsize>,
}

impl Addresses {
    /// Notes that an attempt failed, at whatever address.
    pub(super) fn note_failure(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
    }

    /// The resolver's addresses, in the order in which to try them.
    pub(super) fn ordered(&self, mut addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
        if !addresses.is_empty() {
            let first = self.failures.load(Ordering::Relaxed) % addresses.len();
            addresses.rotate_left(first);
        }
        addresses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_moves_on_to_the_next_address() {
        let all: Vec<SocketAddr> = ["192.0.2.1:0", "[2001:db8::1]:0", "192.0.2.2:0"]
            .map(|address| address.parse().unwrap())
            .into();
        let addresses = Addresses::default();
        assert_eq!(addresses.ordered(all.clone()), all);
        for first in [1, 2, 0, 1] {
            addresses.note_failure();
            let ordered = addresses.ordered(all.clone());
            assert_eq!((ordered.len(), ordered[0]), (3, all[first]));
        }
        assert_eq!(addresses.ordered(Vec::new()), []);
    }
}
