//! The table of file formats: their names, their extensions and how their files begin.

use std::path::Path;

use super::read::Packing;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Parquet,
    Jsonl,
    /// One object id per line and nothing else.
    Ids,
}

/// A name from which a format does not follow, so that a file would get a name that misleads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MisleadingName {
    #[error("--output names a place, and {0} is a format: choose it with --format, or name the file ./{0}")]
    IsFormat(String),

    #[error("{0}: .txt is for a list of ids: add --ids-only, or choose another format with --format")]
    Ids(String),

    #[error(
        "{name}: export does not write .{extension} files: end the name in .csv, .parquet or .jsonl, or choose a format \
         with --format"
    )]
    Foreign { name: String, extension: String },

    #[error("{0} is the name of a file, and a dataset is a folder of Parquet files: end it with a / if it is a folder")]
    Dataset(String),
}

impl Format {
    /// The usual format of a dataset.
    pub const DATASET: Self = Self::Parquet;

    pub const ALL: [Self; 4] = [Self::Csv, Self::Parquet, Self::Jsonl, Self::Ids];

    /// The extensions of the format's files. Exports use the first one, which is also the format's name.
    fn extensions(self) -> &'static [&'static str] {
        match self {
            Self::Csv => &["csv"],
            Self::Parquet => &["parquet"],
            Self::Jsonl => &["jsonl", "ndjson"],
            Self::Ids => &["txt"],
        }
    }

    /// The bytes that every file of the format begins with; `None` for plain text.
    pub fn mark(self) -> Option<&'static [u8]> {
        match self {
            Self::Parquet => Some(b"PAR1"),
            Self::Jsonl => Some(b"{"),
            Self::Csv | Self::Ids => None,
        }
    }

    /// Whether rows have named columns. Only such a format can be chosen by name, or hold a dataset.
    pub fn has_columns(self) -> bool {
        self != Self::Ids
    }

    /// The extension of exported files, and the format's name in `--format` and in a manifest.
    pub fn extension(self) -> &'static str {
        self.extensions()[0]
    }

    pub fn by_name(name: &str) -> Option<Self> {
        let mut named = Self::ALL.into_iter().filter(|format| format.has_columns());
        named.find(|format| format.extension() == name)
    }

    /// The format for a file of this name. A name without an extension leaves the choice open.
    pub fn of_file_name(name: &str) -> Result<Option<Self>, MisleadingName> {
        let is_format = ["json", "text"].contains(&name) || Self::by_extension(&format!(".{name}")).is_some();
        if is_format && !name.contains(['.', '/']) {
            return Err(MisleadingName::IsFormat(name.to_owned()));
        }
        match (Self::by_extension(name), extension(name)) {
            (Some(Self::Ids), _) => Err(MisleadingName::Ids(name.to_owned())),
            (Some(format), _) => Ok(Some(format)),
            (None, Some(extension)) => Err(MisleadingName::Foreign {
                name: name.to_owned(),
                extension: extension.to_owned(),
            }),
            (None, None) => Ok(None),
        }
    }

    /// Fails if a dataset of this name would look like a file of another format.
    pub(super) fn require_folder_name(name: &str) -> Result<(), MisleadingName> {
        match Self::by_extension(name) {
            Some(Self::DATASET) => Ok(()),
            None if extension(name).is_none() => Ok(()),
            _ => Err(MisleadingName::Dataset(name.to_owned())),
        }
    }

    /// Whether a name is that of a file of rows, which may be compressed, and not of a folder.
    pub fn is_of_a_list(name: &str) -> bool {
        let name = Packing::strip_any_extension(name);
        Self::by_extension(name).is_some() || extension(name).is_some_and(|it| it.eq_ignore_ascii_case("json"))
    }

    /// The format that the extension of a file name stands for, in upper or lower case.
    pub fn by_extension(file_name: &str) -> Option<Self> {
        let (_, extension) = file_name.rsplit_once('.')?;
        let is_same = |known: &&str| known.eq_ignore_ascii_case(extension);
        Self::ALL
            .into_iter()
            .find(|format| format.extensions().iter().any(is_same))
    }
}

/// The extension of a path's last part. Digits alone are none: they are a version, or a part of a date.
fn extension(name: &str) -> Option<&str> {
    let extension = Path::new(name).extension()?.to_str()?;
    let is_word =
        extension.chars().all(|c| c.is_ascii_alphanumeric()) && extension.contains(|c: char| c.is_alphabetic());
    (is_word && !name.ends_with('/')).then_some(extension)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_a_format_none_or_misleads() {
        for (name, format) in [
            ("a.csv", Some(Format::Csv)),
            ("a.b/c.PARQUET", Some(Format::Parquet)),
            ("c.ndjson", Some(Format::Jsonl)),
            ("c", None),
            ("./json", None),
            ("/dev/fd/3", None),
            ("objects-2026.11.27", None),
            ("v1.2/objects", None),
            ("a.xlsx/objects", None),
        ] {
            assert_eq!(Format::of_file_name(name), Ok(format), "{name}");
        }
        for name in ["csv", "json", "text", "ndjson", "PARQUET"] {
            assert_eq!(
                Format::of_file_name(name),
                Err(MisleadingName::IsFormat(name.to_owned()))
            );
        }
        assert_eq!(
            Format::of_file_name("a.txt"),
            Err(MisleadingName::Ids("a.txt".to_owned()))
        );
        for (name, extension) in [
            ("a.json", "json"),
            ("b/a.xlsx", "xlsx"),
            ("a.csv.gz", "gz"),
            ("a.db", "db"),
            ("a.7z", "7z"),
        ] {
            let foreign = MisleadingName::Foreign {
                name: name.to_owned(),
                extension: extension.to_owned(),
            };
            assert_eq!(Format::of_file_name(name), Err(foreign));
        }
    }

    #[test]
    fn a_dataset_is_not_called_like_a_file() {
        for name in ["s3://b/a/", "s3://b/a", "s3://b/a.parquet", "s3://b/v1.2", "out.csv/"] {
            assert_eq!(Format::require_folder_name(name), Ok(()), "{name}");
        }
        for name in ["s3://b/a.csv", "s3://b/a.xlsx", "out.jsonl"] {
            assert_eq!(
                Format::require_folder_name(name),
                Err(MisleadingName::Dataset(name.to_owned()))
            );
        }
    }

    #[test]
    fn names_and_extensions_lead_to_their_format() {
        for format in Format::ALL {
            for extension in format.extensions() {
                assert_eq!(Format::by_extension(&format!("a.b/c.{extension}")), Some(format));
                let upper = extension.to_ascii_uppercase();
                assert_eq!(Format::by_extension(&format!("c.{upper}")), Some(format));
            }
            let named = format.has_columns().then_some(format);
            assert_eq!(Format::by_name(format.extension()), named);
        }
        for other in ["csv", "a.csv/b", "a.csv.gz", "a.", ""] {
            assert_eq!(Format::by_extension(other), None, "{other}");
        }
    }
}
