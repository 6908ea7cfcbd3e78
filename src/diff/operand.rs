//! FROM and TO on the command line.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::export::{InvalidLocation, Location};
use crate::moment::{InvalidMoment, Moment};

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    Moment(Moment),
    Place(Location),
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOperand {
    #[error("{0:?} is neither an existing file or folder nor a point in time: {1}")]
    Neither(String, InvalidMoment),
    #[error("expected a point in time, a file, a folder, an object store's URL, or - for stdin")]
    Empty,
    #[error(transparent)]
    Place(#[from] InvalidLocation),
}

impl FromStr for Operand {
    type Err = InvalidOperand;

    /// A moment takes precedence: a file named `latest` has to be written as `./latest`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let no_moment = match text.parse() {
            Ok(moment) => return Ok(Self::Moment(moment)),
            Err(error) => error,
        };
        let place = match text {
            "" => return Err(InvalidOperand::Empty),
            _ => text.parse()?,
        };
        match &place {
            Location::File(path) | Location::Folder(path) if !may_exist(path) => {
                Err(InvalidOperand::Neither(text.to_owned(), no_moment))
            }
            _ => Ok(Self::Place(place)),
        }
    }
}

/// If the path can't be examined, opening it will fail with the reason.
fn may_exist(path: &Path) -> bool {
    path.try_exists().unwrap_or(true)
}

impl fmt::Display for Operand {
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
        let read = |text: &str| text.parse::<Operand>();
        assert_eq!(read("latest~1"), Ok(Operand::Moment(Moment::Latest(1))));
        assert_eq!(read("42"), Ok(Operand::Moment(Moment::Snapshot(42))));
        assert_eq!(read("-"), Ok(Operand::Place(Location::Stdout)));
        assert_eq!(read("/tmp"), Ok(Operand::Place(Location::Folder("/tmp".into()))));
        assert_eq!(
            read("Cargo.toml"),
            Ok(Operand::Place(Location::File("Cargo.toml".into())))
        );
        assert!(matches!(
            read("s3://bucket/a/"),
            Ok(Operand::Place(Location::Remote(_)))
        ));
        assert!(matches!(read("yesterday.csv"), Err(InvalidOperand::Neither(..))));
        assert!(matches!(read("ftp://host/a"), Err(InvalidOperand::Place(_))));
        assert_eq!(read(""), Err(InvalidOperand::Empty));
    }
}
