//! The proof of a boundary between two ranges: the ids after it, read twice. Pure.

use crate::model::ObjectId;

use super::fetch::FetchedPage;

/// Pages that are read to prove a boundary. They are too few only if many empty pages lie around it.
pub const MOST_PAGES: usize = 8;

/// The ids above a boundary, as one reader received them.
#[derive(Debug, PartialEq, Eq)]
pub struct PastBoundary {
    pub ids: Vec<ObjectId>,
    /// The API said that nothing follows.
    pub ended: bool,
}

impl PastBoundary {
    /// The ids of consecutive pages that lie above the boundary; all of them if it is `None`.
    pub fn of<'a>(pages: impl IntoIterator<Item = &'a FetchedPage>, boundary: Option<&ObjectId>) -> Self {
        let (mut ids, mut ended) = (Vec::new(), false);
        for served in pages {
            ids.extend(served.ids().filter(|id| boundary.is_none_or(|boundary| id > boundary)));
            ended |= served.next().is_none();
        }
        Self { ids, ended }
    }

    /// Whether there are enough ids to compare.
    pub fn is_enough(&self, page_rows: usize) -> bool {
        self.ended || self.ids.len() >= page_rows
    }

    /// Whether both readings say that these are all the ids there are.
    pub fn is_all_of(&self, other: &Self) -> bool {
        self.ended && other.ended && self.ids.len() == other.ids.len()
    }

    /// Whether both readings list the same ids, a page's worth or all there are. One comes from cursors that the API
    /// gave out, the other from a made-up cursor, which then means what it was meant to.
    pub fn agrees_with(&self, other: &Self, page_rows: usize) -> bool {
        let (ours, theirs) = (self.ids.len(), other.ids.len());
        let both = ours.min(theirs);
        if self.ids[..both] != other.ids[..both] {
            return false;
        }
        if (self.ended && theirs > ours) || (other.ended && ours > theirs) {
            return false;
        }
        both >= page_rows || self.is_all_of(other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beyond(ids: &[u8], ended: bool) -> PastBoundary {
        PastBoundary {
            ids: ids.iter().map(|id| ObjectId::from_bytes([*id; 32])).collect(),
            ended,
        }
    }

    #[test]
    fn a_pages_worth_or_all_must_be_the_same() {
        for (one, other, agree) in [
            (beyond(&[1, 2, 3], false), beyond(&[1, 2, 3, 4], false), true),
            (beyond(&[1, 2], false), beyond(&[1, 2, 3], false), false), // less than a page
            (beyond(&[1, 2], true), beyond(&[1, 2], true), true),
            (beyond(&[], true), beyond(&[], true), true),
            (beyond(&[1, 2], true), beyond(&[1, 2, 3, 4], false), false), // one says that nothing follows
            (beyond(&[1, 3, 4], false), beyond(&[1, 2, 3], false), false),
            (beyond(&[2, 1, 3], false), beyond(&[1, 2, 3], false), false),
            (beyond(&[1, 2, 3], true), beyond(&[1, 2, 3, 4], false), false), // there is more than the end allows
            (beyond(&[1, 2, 3, 4], true), beyond(&[1, 2, 3], false), true),  // not read as far
        ] {
            assert_eq!(one.agrees_with(&other, 3), agree, "{one:?} {other:?}");
            assert_eq!(other.agrees_with(&one, 3), agree, "{one:?} {other:?}");
        }
    }
}
