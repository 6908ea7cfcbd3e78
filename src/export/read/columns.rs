//! Recognition of the columns of objects by their names, as this and other programs write them.

use std::collections::HashSet;

use super::RowError;

/// The known columns that a file has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Columns {
    pub account_id: bool,
    pub namespace_id: bool,
    pub object_id: bool,
    pub has_stored_data: bool,
    /// The table's name in an export of changes or history, whose rows are not objects.
    pub no_objects: Option<&'static str>,
}

impl Columns {
    /// The columns that either has.
    pub fn or(self, other: Self) -> Self {
        Self {
            account_id: self.account_id || other.account_id,
            namespace_id: self.namespace_id || other.namespace_id,
            object_id: self.object_id || other.object_id,
            has_stored_data: self.has_stored_data || other.has_stored_data,
            no_objects: self.no_objects.or(other.no_objects),
        }
    }
}

/// A column with a known name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Known {
    AccountId,
    NamespaceId,
    ObjectId,
    /// The object's id in a file without `object_id`. In the views, `id` has the id as bytes.
    Id,
    HasStoredData,
    Change,
    ValidFrom,
}

impl Known {
    pub const ALL: [Self; 7] = [
        Self::AccountId,
        Self::NamespaceId,
        Self::ObjectId,
        Self::Id,
        Self::HasStoredData,
        Self::Change,
        Self::ValidFrom,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::AccountId => "account_id",
            Self::NamespaceId => "namespace_id",
            Self::ObjectId => "object_id",
            Self::Id => "id",
            Self::HasStoredData => "has_stored_data",
            Self::Change => "change",
            Self::ValidFrom => "valid_from",
        }
    }

    /// Recognizes a name in any case and with any separators: `Has Stored Data`, `OBJECT_ID`, `hasStoredData`.
    pub fn of(name: &str) -> Option<Self> {
        match name {
            "account_id" => Some(Self::AccountId),
            "namespace_id" => Some(Self::NamespaceId),
            "object_id" => Some(Self::ObjectId),
            "id" => Some(Self::Id),
            "has_stored_data" => Some(Self::HasStoredData),
            "change" => Some(Self::Change),
            "valid_from" => Some(Self::ValidFrom),
            // Keys of JSON come with every row. Most of those that are not ours differ in their first letter.
            _ if matches!(letters(name).next()?, 'a' | 'n' | 'o' | 'i' | 'h' | 'c' | 'v') => {
                let mut all = Self::ALL.into_iter();
                all.find(|known| letters(known.name()).eq(letters(name)))
            }
            _ => None,
        }
    }

    /// The exported table that has this column, if not the one of objects.
    pub fn other_table(self) -> Option<&'static str> {
        match self {
            Self::Change => Some("changes"),
            Self::ValidFrom => Some("history"),
            _ => None,
        }
    }

    /// Maximum number of wrong letters in a name that is taken for a misspelling of this one.
    fn max_typos(self) -> usize {
        match self {
            Self::HasStoredData => 2,
            Self::AccountId | Self::NamespaceId | Self::ObjectId => 1,
            Self::Id | Self::Change | Self::ValidFrom => 0,
        }
    }
}

/// Maximum number of characters that are compared. Every known name is shorter.
const LONGEST_NAME: usize = 100;

fn letters(name: &str) -> impl Iterator<Item = char> {
    let separates = |c: &char| c.is_whitespace() || matches!(c, '_' | '-');
    let letters = name.chars().take(LONGEST_NAME).filter(move |c| !separates(c));
    letters.map(|c| c.to_ascii_lowercase())
}

/// Collects the names of columns.
#[derive(Debug, Default)]
pub struct Names {
    found: [bool; Known::ALL.len()],
    /// Unknown names without separators. A JSON file may have any number of them, so only some are kept.
    others: HashSet<String>,
}

const MOST_OTHERS: usize = 10_000;

impl Names {
    pub fn add(&mut self, name: &str) {
        match Known::of(name) {
            Some(known) => self.found[known as usize] = true,
            None if self.others.len() < MOST_OTHERS => {
                self.others.insert(letters(name).collect());
            }
            None => {}
        }
    }

    /// Whether all columns were found, so that further names would change nothing.
    pub fn are_complete(&self) -> bool {
        let columns = self.columns();
        columns.account_id && columns.namespace_id && columns.object_id && columns.has_stored_data
    }

    fn columns(&self) -> Columns {
        let has = |known: &Known| self.found[*known as usize];
        Columns {
            account_id: has(&Known::AccountId),
            namespace_id: has(&Known::NamespaceId),
            object_id: has(&Known::ObjectId) || has(&Known::Id),
            has_stored_data: has(&Known::HasStoredData),
            no_objects: Known::ALL.into_iter().filter(has).find_map(Known::other_table),
        }
    }

    /// Fails if an unknown name looks like a misspelling of a missing column, which would be silently ignored.
    pub fn finish(self) -> Result<Columns, RowError> {
        let columns = self.columns();
        let missing = [
            (columns.account_id, Known::AccountId),
            (columns.namespace_id, Known::NamespaceId),
            (columns.object_id, Known::ObjectId),
            (columns.has_stored_data, Known::HasStoredData),
        ];
        for (_, known) in missing.into_iter().filter(|(there, _)| !there) {
            let name: String = letters(known.name()).collect();
            let is_near = |other: &&String| strsim::osa_distance(other, &name) <= known.max_typos();
            if let Some(found) = self.others.iter().filter(is_near).min() {
                return Err(RowError::NearlyKnown {
                    found: found.clone(),
                    known: known.name(),
                });
            }
        }
        Ok(columns)
    }
}

/// The positions of the known columns in a header or a schema.
#[derive(Debug, Clone, Copy)]
pub struct Places {
    pub columns: Columns,
    pub account_id: Option<usize>,
    pub namespace_id: Option<usize>,
    pub object_id: Option<usize>,
    pub has_stored_data: Option<usize>,
}

impl Places {
    pub fn of<S: AsRef<str>>(all: &[S]) -> Result<Self, RowError> {
        let mut names = Names::default();
        all.iter().for_each(|name| names.add(name.as_ref()));
        let known: Vec<_> = all.iter().map(|name| Known::of(name.as_ref())).collect();
        let place = |wanted: Known| {
            let mut places = known.iter().enumerate().filter(|(_, known)| **known == Some(wanted));
            match (places.next(), places.next()) {
                (Some(_), Some(_)) => Err(RowError::TwoColumns(wanted.name())),
                (found, _) => Ok(found.map(|(place, _)| place)),
            }
        };
        let object_id = match place(Known::ObjectId)? {
            None => place(Known::Id)?,
            found => found,
        };
        Ok(Self {
            account_id: place(Known::AccountId)?,
            namespace_id: place(Known::NamespaceId)?,
            object_id,
            has_stored_data: place(Known::HasStoredData)?,
            columns: names.finish()?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_however_they_are_joined() {
        for name in [
            "has_stored_data",
            " HAS_STORED_DATA ",
            "hasStoredData",
            "Has stored-data",
        ] {
            assert_eq!(Known::of(name), Some(Known::HasStoredData), "{name}");
        }
        for name in ["namespace", "object.id", "namespace_name", "stored", ""] {
            assert_eq!(Known::of(name), None, "{name}");
        }
    }

    #[test]
    fn a_name_that_is_nearly_a_missing_one_is_an_error() {
        let columns = |names: &[&str]| Places::of(names).map(|places| places.columns);
        for (names, known) in [
            (["object_id", "has_stored_dta"], "has_stored_data"),
            (["object_id", "\"has_stored_data\""], "has_stored_data"),
            (["id", "namepsace_id"], "namespace_id"),
            (["objet_id", "size"], "object_id"),
        ] {
            match columns(&names) {
                Err(RowError::NearlyKnown { known: told, .. }) => assert_eq!(told, known, "{names:?}"),
                other => panic!("{names:?}: {other:?}"),
            }
        }
        for names in [
            ["object_id", "namespace"],
            ["object_id", "account"],
            ["object_id", "namespace_name"],
            ["id", "project_id"],
            ["object_id", "object_ids"],
        ] {
            assert!(columns(&names).unwrap().object_id, "{names:?}");
        }
    }

    #[test]
    fn two_columns_of_one_name_are_an_error() {
        assert!(matches!(
            Places::of(&["ID", "x", "id"]),
            Err(RowError::TwoColumns("id"))
        ));
        let places = Places::of(&["id", "object_id"]).unwrap();
        assert_eq!(places.object_id, Some(1));
    }
}
