//! The core of the tests on every version of PostgreSQL that is supported, with `tests/postgres`. The machine's own version
//! is the one of all other tests, and the newest one belongs to `scripts/test --all`.

use crate::versions::the_core_passes_on;

#[test]
#[ignore = "release: the core of the tests, once for each version of PostgreSQL"]
fn the_core_passes_on_each_supported_version() {
    [14, 16, 17, 18].into_iter().for_each(the_core_passes_on);
}
