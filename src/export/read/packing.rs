//! Compressed text. It is unpacked as it is read, in bounded memory.

use std::fs::File;
use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::read::Decoder;

use super::source::TextStream;

/// The largest window of Zstandard, as a power of 2: 8 MiB, which is what levels up to 19 need.
const LARGEST_WINDOW: u32 = 23;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    Gzip,
    Zstd,
}

impl Packing {
    pub fn of(start: &[u8]) -> Option<Self> {
        match start {
            [0x1f, 0x8b, ..] => Some(Self::Gzip),
            // A frame, or a frame to skip, with which parallel and seekable writers begin.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Some(Self::Zstd),
            _ => None,
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The command that writes the unpacked file to stdout.
    pub fn command(self) -> &'static str {
        match self {
            Self::Gzip => "gzip -dc",
            Self::Zstd => "zstd -dc",
        }
    }

    /// The extensions of its files, the usual one first.
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Gzip => &["gz", "gzip"],
            Self::Zstd => &["zst", "zstd"],
        }
    }

    pub fn strip_extension(self, name: &str) -> &str {
        match name.rsplit_once('.') {
            Some((stem, extension))
                if self
                    .extensions()
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(extension)) =>
            {
                stem
            }
            _ => name,
        }
    }

    /// A file's name without the extension of any packing.
    pub fn strip_any_extension(name: &str) -> &str {
        let stems = [Self::Gzip, Self::Zstd].map(|packing| packing.strip_extension(name));
        stems.into_iter().min_by_key(|stem| stem.len()).unwrap_or(name)
    }

    pub fn unpack(self, file: File) -> io::Result<TextStream> {
        let file = BufReader::with_capacity(64 * 1024, file);
        let from: TextStream = match self {
            Self::Gzip => Box::new(MultiGzDecoder::new(file)),
            Self::Zstd => {
                let mut decoder = Decoder::with_buffer(file)?;
                decoder.window_log_max(LARGEST_WINDOW)?;
                Box::new(decoder)
            }
        };
        Ok(Box::new(Unpacked { packing: self, from }))
    }
}

/// Says in each error what could not be unpacked.
struct Unpacked {
    packing: Packing,
    from: TextStream,
}

impl Read for Unpacked {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.from.read(into).map_err(|error| match error {
            interrupted if interrupted.kind() == io::ErrorKind::Interrupted => interrupted,
            error if error.raw_os_error().is_some() => error,
            // zstd's own words are the only sign.
            error if error.to_string().contains("too much memory") => io::Error::other(
                "its zstd data needs a window of more than 8 MiB: unpack it, as in `zstd -dc --long=31 FILE | \
                 durable-inventory diff - ...`",
            ),
            error => io::Error::other(format!(
                "its {} data is damaged or cut off: {error}",
                self.packing.name()
            )),
        })
    }
}
