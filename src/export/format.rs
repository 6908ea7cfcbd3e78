//! The table of file formats: their names, their extensions and how their files begin.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    Csv,
    Parquet,
    Jsonl,
    /// One object id per line and nothing else.
    Ids,
}

impl Format {
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

    /// The format that the extension of a file name stands for, in upper or lower case.
    pub fn by_extension(file_name: &str) -> Option<Self> {
        let (_, extension) = file_name.rsplit_once('.')?;
        let is_same = |known: &&str| known.eq_ignore_ascii_case(extension);
        Self::ALL
            .into_iter()
            .find(|format| format.extensions().iter().any(is_same))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
