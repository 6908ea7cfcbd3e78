//! Text in UTF-16, as Excel ("Unicode text") and PowerShell write it, read as UTF-8.

use std::io::{self, Read};
use std::ops::Range;

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_16BE, UTF_16LE};

use super::source::TextStream;

const BUFFER: usize = 32 * 1024;
/// Characters at the start of a text without a mark by which it is recognized.
const FIRST: usize = 16;

/// Returns the encoding if it is UTF-16. Without a byte order mark, every other byte at the start must be zero.
pub fn encoding_of(start: &[u8]) -> Option<&'static Encoding> {
    // UTF-32 begins with the mark of UTF-16 and two zeros.
    if start.starts_with(b"\xff\xfe\0\0") {
        return None;
    }
    if let Some((encoding, _)) = Encoding::for_bom(start) {
        return Some(encoding).filter(|encoding| [UTF_16LE, UTF_16BE].contains(encoding));
    }
    let pairs = start.as_chunks::<2>().0;
    let pairs = &pairs[..pairs.len().min(FIRST)];
    let all = |is: fn(&[u8; 2]) -> bool| pairs.len() > 2 && pairs.iter().all(is);
    if all(|[one, other]| *one != 0 && *other == 0) {
        Some(UTF_16LE)
    } else if all(|[one, other]| *one == 0 && *other != 0) {
        Some(UTF_16BE)
    } else {
        None
    }
}

pub struct Utf16 {
    from: TextStream,
    decoder: Decoder,
    encoded: Buffer,
    decoded: Buffer,
    finished: bool,
}

/// Bytes, of which those in the range are still to be read.
struct Buffer {
    bytes: Vec<u8>,
    left: Range<usize>,
}

impl Default for Buffer {
    fn default() -> Self {
        Self {
            bytes: vec![0; BUFFER],
            left: 0..0,
        }
    }
}

impl Utf16 {
    pub fn new(encoding: &'static Encoding, from: TextStream) -> Self {
        Self {
            from,
            decoder: encoding.new_decoder_with_bom_removal(),
            encoded: Buffer::default(),
            decoded: Buffer::default(),
            finished: false,
        }
    }

    /// Decodes more bytes. Malformed characters are replaced.
    fn decode(&mut self) -> io::Result<()> {
        let Self { encoded, decoded, .. } = self;
        let mut ended = false;
        if encoded.left.is_empty() {
            encoded.left = 0..self.from.read(&mut encoded.bytes)?;
            ended = encoded.left.is_empty();
        }
        let text = &encoded.bytes[encoded.left.clone()];
        let (result, read, written, _) = self.decoder.decode_to_utf8(text, &mut decoded.bytes, ended);
        encoded.left.start += read;
        decoded.left = 0..written;
        self.finished = ended && result == CoderResult::InputEmpty;
        Ok(())
    }
}

impl Read for Utf16 {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.decoded.left.is_empty() && !self.finished {
            self.decode()?;
        }
        let decoded = &mut self.decoded;
        let read = (&decoded.bytes[decoded.left.clone()]).read(into)?;
        decoded.left.start += read;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_the_same_in_any_order_of_bytes_and_in_any_pieces() {
        let text = "object_id\tnote\näöü 𝄞,\u{fffd}\n".repeat(2000);
        let units: Vec<u16> = text.encode_utf16().collect();
        for (mark, order) in [
            (true, u16::to_le_bytes as fn(u16) -> [u8; 2]),
            (true, u16::to_be_bytes),
            (false, u16::to_le_bytes),
            (false, u16::to_be_bytes),
        ] {
            let marked = mark.then_some(0xfeff).into_iter().chain(units.iter().copied());
            let bytes: Vec<u8> = marked.flat_map(order).collect();
            let encoding = encoding_of(&bytes).unwrap();
            let mut found = String::new();
            let mut decoded = Utf16::new(encoding, Box::new(io::Cursor::new(bytes)));
            decoded.read_to_string(&mut found).unwrap();
            assert!(found == text, "{mark} {encoding:?}");
        }
        for other in [
            &b"\xff\xfe\0\0a\0\0\0"[..],
            b"object_id",
            b"a\0",
            b"",
            b"\0\0\0\0\0\0\0\0",
        ] {
            assert_eq!(encoding_of(other), None, "{other:?}");
        }
    }
}
