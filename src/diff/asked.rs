//! FROM and TO, as a person writes them.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::export::{InvalidLocation, Location};
use crate::moment::{InvalidMoment, Moment};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    Moment(Moment),
    Place(Location),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSide {
    #[error("there is no file or folder {0:?}, and it is no moment: {1}")]
    Neither(String, InvalidMoment),
    #[error("what is compared is a moment, a file, a folder or an object store with a dataset, or - for stdin")]
    Empty,
    #[error(transparent)]
    Place(#[from] InvalidLocation),
}

impl FromStr for Asked {
    type Err = InvalidSide;

    /// What reads as a moment is one: a file of that name is written as ./latest.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_moment = match text.parse() {
            Ok(moment) => return Ok(Self::Moment(moment)),
            Err(error) => error,
        };
        let place = match text {
            "" => return Err(InvalidSide::Empty),
            _ => text.parse()?,
        };
        match &place {
            Location::File(path) | Location::Folder(path) if !is_there(path) => {
                Err(InvalidSide::Neither(text.to_owned(), no_moment))
            }
            _ => Ok(Self::Place(place)),
        }
    }
}

/// What can't be looked at is left to whoever opens it: it tells why.
fn is_there(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Moment(moment) => moment.fmt(f),
            Self::Place(Location::Stdout) => f.write_str("stdin"),
            Self::Place(place) => place.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_places_and_neither() {
        let read = |text: &str| text.parse::<Asked>();
        assert_eq!(read("latest~1"), Ok(Asked::Moment(Moment::Latest(1))));
        assert_eq!(read("42"), Ok(Asked::Moment(Moment::Snapshot(42))));
        assert_eq!(read("-"), Ok(Asked::Place(Location::Stdout)));
        assert_eq!(read("/tmp"), Ok(Asked::Place(Location::Folder("/tmp".into()))));
        assert_eq!(
            read("Cargo.toml"),
            Ok(Asked::Place(Location::File("Cargo.toml".into())))
        );
        assert!(matches!(read("s3://bucket/a/"), Ok(Asked::Place(Location::Remote(_)))));
        assert!(matches!(read("yesterday.csv"), Err(InvalidSide::Neither(..))));
        assert!(matches!(read("ftp://host/a"), Err(InvalidSide::Place(_))));
        assert_eq!(read(""), Err(InvalidSide::Empty));
    }
}
