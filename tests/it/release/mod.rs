//! What `scripts/test --release` runs, once before a release: it takes longer than all other tests together, or downloads
//! much. Each test is ignored with a reason that begins with "release:".

#[cfg(target_os = "linux")]
mod packages;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod versions;
