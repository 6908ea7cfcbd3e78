//! Structures in Thrift's compact protocol, read over before the library reads them: it makes room for what they claim
//! to have, and follows them as deep as they go.

use std::io::{self, BufRead, Read};

/// The most elements of a list, such as the columns of a file or its row groups.
const MOST_ELEMENTS: u64 = 1 << 20;
/// Structures within structures, and groups within groups of a schema.
const DEEPEST: usize = 32;
const DEEPEST_SCHEMA: usize = 200;

/// What stands at a path of field numbers. The elements of a list have the path of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Met {
    Number(i64),
    Text,
    List,
    EndOfStructure,
    Other,
}

/// What a page's header says about memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PageHead {
    pub is_dictionary: bool,
    /// Bytes after and before decompression.
    pub decompressed: usize,
    pub compressed: usize,
    /// Entries of a dictionary.
    pub entries: usize,
    /// Bytes of levels before the compressed part.
    pub levels: usize,
}

/// Returns `None` if the header claims something that it does not have. If a number is repeated, the greatest counts.
pub fn page_head(header: impl BufRead, length: u64) -> Option<PageHead> {
    /// The type of a page with a dictionary.
    const DICTIONARY: i64 = 2;
    let mut head = PageHead::default();
    let (mut kind, mut sizes) = (None, [None; 2]);
    let mut levels = [0; 2];
    let mut told = |path: &[i16], met: Met| {
        let place = match path {
            [1] => {
                let Met::Number(number) = met else { return false };
                return kind.replace(number).is_none_or(|before| before == number);
            }
            [2] => sizes[0].get_or_insert_default(),
            [3] => sizes[1].get_or_insert_default(),
            [7, 1] => &mut head.entries,
            [8, 5] => &mut levels[0],
            [8, 6] => &mut levels[1],
            _ => return true,
        };
        let Met::Number(number) = met else { return false };
        let number = u32::try_from(number)
            .ok()
            .filter(|number| i32::try_from(*number).is_ok());
        *place = (*place).max(number.map_or(usize::MAX, |number| number as usize));
        number.is_some()
    };
    Walk {
        from: header,
        left: length,
    }
    .structure(&mut Vec::new(), &mut told)?;
    let [Some(decompressed), Some(compressed)] = sizes else {
        return None;
    };
    Some(PageHead {
        is_dictionary: kind? == DICTIONARY,
        decompressed,
        compressed,
        levels: levels[0] + levels[1],
        ..head
    })
}

/// What a footer says about memory.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// Elements of the schema.
    pub elements: usize,
    /// Parts of columns: one per column and row group.
    pub chunks: usize,
    pub is_encrypted: bool,
}

/// Returns `None` if the footer claims something that it does not have, or if its schema does not have as many columns
/// as it claims, or has them too deep in each other.
pub fn footer(footer: impl BufRead, length: u64) -> Option<Footer> {
    // How many children each group still lacks that the current column is in.
    let mut groups: Vec<i64> = vec![1];
    let mut children = 0;
    let mut found = Footer::default();
    let mut told = |path: &[i16], met: Met| match (path, met) {
        ([1 | 3], met) | ([2, 1..=3 | 6..=9], met) => matches!(met, Met::Number(_)),
        ([2], Met::EndOfStructure) => {
            found.elements += 1;
            while groups.pop_if(|left| *left == 0).is_some() {}
            let Some(left) = groups.last_mut() else { return false };
            *left -= 1;
            groups.push(std::mem::take(&mut children));
            groups.len() <= DEEPEST_SCHEMA
        }
        ([2 | 4 | 5 | 7], met) => matches!(met, Met::List | Met::EndOfStructure),
        ([6] | [2, 4], met) => met == Met::Text,
        ([2, 5], Met::Number(claimed)) => {
            children = claimed;
            (0..MOST_ELEMENTS as i64).contains(&claimed)
        }
        ([2, 5], _) => false,
        ([2, 10], met) => met == Met::EndOfStructure,
        ([4, 1], Met::EndOfStructure) => {
            found.chunks += 1;
            true
        }
        ([8], _) => {
            found.is_encrypted = true;
            true
        }
        _ => true,
    };
    Walk {
        from: footer,
        left: length,
    }
    .structure(&mut Vec::new(), &mut told)?;
    groups.iter().all(|left| *left == 0).then_some(found)
}

struct Walk<R> {
    from: R,
    /// Bytes that can still come.
    left: u64,
}

/// Methods return `None` if the bytes do not follow the protocol, or if `told` refuses a value.
impl<R: BufRead> Walk<R> {
    fn structure(&mut self, path: &mut Vec<i16>, told: &mut impl FnMut(&[i16], Met) -> bool) -> Option<()> {
        let mut last = 0i16;
        loop {
            let head = self.byte()?;
            if head & 0xf == 0 {
                return told(path, Met::EndOfStructure).then_some(());
            }
            last = match head >> 4 {
                0 => i16::try_from(self.signed()?).ok()?,
                step => last.checked_add(i16::from(step))?,
            };
            path.push(last);
            self.value(head & 0xf, path, told)?;
            path.pop();
        }
    }

    fn value(&mut self, kind: u8, path: &mut Vec<i16>, told: &mut impl FnMut(&[i16], Met) -> bool) -> Option<()> {
        let met = match kind {
            // The kind is the value.
            1 | 2 => Met::Other,
            3 => self.skip(1).map(|()| Met::Other)?,
            4..=6 => Met::Number(self.signed()?),
            7 => self.skip(8).map(|()| Met::Other)?,
            8 => {
                let length = self.number()?;
                self.skip(length).map(|()| Met::Text)?
            }
            9 | 10 => return self.list(path, told),
            12 if path.len() < DEEPEST => return self.structure(path, told),
            13 => self.skip(16).map(|()| Met::Other)?,
            // Parquet has no maps.
            _ => return None,
        };
        told(path, met).then_some(())
    }

    fn list(&mut self, path: &mut Vec<i16>, told: &mut impl FnMut(&[i16], Met) -> bool) -> Option<()> {
        let head = self.byte()?;
        let size = match head >> 4 {
            15 => self.number()?,
            size => size.into(),
        };
        let kind = head & 0xf;
        // The library takes flags in a list it does not know for nothing, however many there are.
        let is_sound = size <= self.left.min(MOST_ELEMENTS) && (size == 0 || kind > 2) && path.len() < DEEPEST;
        if !is_sound || !told(path, Met::List) {
            return None;
        }
        match kind {
            // Not lists of lists either.
            9 | 10 if size > 0 => None,
            _ => (0..size).try_for_each(|_| self.value(kind, path, told)),
        }
    }

    fn byte(&mut self) -> Option<u8> {
        self.left = self.left.checked_sub(1)?;
        let byte = *self.from.fill_buf().ok()?.first()?;
        self.from.consume(1);
        Some(byte)
    }

    fn skip(&mut self, bytes: u64) -> Option<()> {
        self.left = self.left.checked_sub(bytes)?;
        let skipped = io::copy(&mut self.from.by_ref().take(bytes), &mut io::sink()).ok()?;
        (skipped == bytes).then_some(())
    }

    fn number(&mut self) -> Option<u64> {
        let mut number = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn signed(&mut self) -> Option<i64> {
        let number = self.number()?;
        Some((number >> 1) as i64 ^ -((number & 1) as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A footer with nothing but a schema of these numbers of children.
    fn footer_of(children: &[i64]) -> Vec<u8> {
        let mut bytes = vec![
            0x15,
            2,
            0x19,
            0xfc,
            children.len() as u8 | 0x80,
            (children.len() >> 7) as u8,
        ];
        for children in children {
            bytes.extend([0x48, 1, b'x']);
            if *children > 0 {
                bytes.extend([0x15, (children << 1) as u8 | 0x80, (children >> 6) as u8]);
            }
            bytes.push(0);
        }
        bytes.push(0);
        bytes
    }

    #[test]
    fn a_schema_has_the_columns_that_it_claims() {
        let elements = |children: &[i64]| {
            let bytes = footer_of(children);
            footer(&bytes[..], bytes.len() as u64).map(|found| found.elements)
        };
        for sound in [&[1, 0][..], &[3, 0, 2, 0, 0, 1, 0], &[&[1; 150][..], &[0]].concat()] {
            assert_eq!(elements(sound), Some(sound.len()), "{sound:?}");
        }
        for unsound in [
            &[][..],
            &[2, 0],
            &[1, 0, 0],
            &[8000, 0],
            &[&[1; 250][..], &[0]].concat(),
        ] {
            assert_eq!(elements(unsound), None, "{unsound:?}");
        }
    }

    fn head(bytes: &[u8]) -> Option<PageHead> {
        page_head(bytes, bytes.len() as u64)
    }

    #[test]
    fn nothing_is_claimed_that_is_not_there() {
        // Type, sizes, a text, a structure.
        let start = [0x15, 2, 0x15, 8, 0x15, 4];
        let more = [0x18, 1, b'x', 0x1c, 0x11, 0, 0x19, 0x25, 1, 2, 0];
        assert!(head(&[&start[..], &more].concat()).is_some());
        for claims in [
            // A text, flags, numbers, a map, and structures without an end.
            &[0x18, 0xff, 0xff, 3, b'x', 0][..],
            &[0x19, 0xf1, 0xff, 0xff, 3, 0],
            &[0x19, 0xf5, 0xff, 0xff, 3, 0],
            &[0x1b, 0xff, 0xff, 3, 0x11, 0],
            &[0x1c; 1000],
        ] {
            assert_eq!(head(&[&start[..], claims].concat()), None, "{claims:?}");
        }
    }

    #[test]
    fn a_page_has_the_sizes_that_its_header_says() {
        let data = [0x15, 0, 0x15, 0x80, 0x20, 0x15, 4, 0];
        let found = head(&data).unwrap();
        assert_eq!(
            (found.decompressed, found.compressed, found.is_dictionary),
            (2048, 2, false)
        );
        let dictionary = [0x15, 4, 0x15, 8, 0x15, 4, 0x4c, 0x15, 6, 0, 0];
        let found = head(&dictionary).unwrap();
        assert_eq!((found.entries, found.is_dictionary), (3, true));
        let levels = [0x15, 6, 0x15, 8, 0x15, 4, 0x5c, 0x55, 4, 0x15, 2, 0, 0];
        assert_eq!(head(&levels).unwrap().levels, 3);
        let repeated = [0x15, 0, 0x15, 8, 0x05, 4, 0x80, 0x01, 0x15, 4, 0];
        assert_eq!(head(&repeated).unwrap().decompressed, 64);
        let negative = [0x15, 0, 0x15, 0x01, 0x15, 4, 0];
        let large = [0x15, 0, 0x15, 0x80, 0x80, 0x80, 0x80, 0x20, 0x15, 4, 0];
        for none in [&negative[..], &large, &[], &[0x15, 0x80], &[0x15, 0, 0x15, 8, 0]] {
            assert_eq!(head(none), None, "{none:?}");
        }
    }
}
