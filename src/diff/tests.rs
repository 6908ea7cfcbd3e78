//! Files against a plain model: whatever columns, formats and order they come in, and however little memory there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read;

use proptest::prelude::*;

use super::*;
use crate::export::Location;
use crate::model::{ChangeKind, State, StoredData};

/// By namespace and id.
type Objects = BTreeMap<(u8, u8), Option<bool>>;

#[derive(Debug, Clone, Copy)]
enum Shape {
    Csv,
    Jsonl,
    Ids,
}

/// How a side is written down.
#[derive(Debug, Clone)]
struct Way {
    shape: Shape,
    namespaces: bool,
    flags: bool,
    /// JSON without the keys whose values are null.
    sparse: bool,
    /// Columns and rows in another order.
    turned: bool,
    shuffled: Vec<u16>,
}

impl Way {
    fn has_namespaces(&self) -> bool {
        self.namespaces && !matches!(self.shape, Shape::Ids)
    }

    fn has_flags(&self, objects: &Objects) -> bool {
        let is_written = !self.sparse || !matches!(self.shape, Shape::Jsonl) || objects.values().any(Option::is_some);
        self.flags && !matches!(self.shape, Shape::Ids) && is_written
    }

    fn write(&self, objects: &Objects) -> String {
        let mut rows: Vec<_> = objects.iter().collect();
        // A sort by random keys; without keys the rows stay in order.
        let key = |index: usize| self.shuffled.get(index % self.shuffled.len().max(1)).copied();
        let mut keyed: Vec<_> = rows
            .drain(..)
            .enumerate()
            .map(|(index, row)| (key(index), row))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        let mut text = match self.shape {
            Shape::Csv => self.line(["account_id", "namespace_id", "object_id", "has_stored_data"].map(str::to_owned)),
            Shape::Jsonl | Shape::Ids => String::new(),
        };
        for (_, ((namespace, id), flag)) in keyed {
            let (id, namespace) = (hex::encode([*id; 32]), format!("n{namespace}"));
            let flag = flag.map(|flag| flag.to_string());
            text += &match self.shape {
                Shape::Ids => format!("{id}\n"),
                Shape::Csv => self.line(["a".to_owned(), namespace, id, flag.unwrap_or_default()]),
                Shape::Jsonl => {
                    let mut line = format!("{{\"object_id\":\"{id}\"");
                    if self.namespaces {
                        write!(line, ",\"account_id\":\"a\",\"namespace_id\":\"{namespace}\"").unwrap();
                    }
                    if self.flags && !(self.sparse && flag.is_none()) {
                        write!(line, ",\"has_stored_data\":{}", flag.as_deref().unwrap_or("null")).unwrap();
                    }
                    line + "}\n"
                }
            };
        }
        text
    }

    fn line(&self, [account, namespace, id, flag]: [String; 4]) -> String {
        let mut cells = Vec::new();
        if self.namespaces {
            cells.extend([account, namespace]);
        }
        cells.extend([id, "a note".to_owned()]);
        if self.flags {
            cells.push(flag);
        }
        if self.turned {
            cells.reverse();
        }
        cells.join(",") + "\n"
    }
}

fn any_way() -> impl Strategy<Value = Way> {
    let shape = prop_oneof![3 => Just(Shape::Csv), 2 => Just(Shape::Jsonl), 1 => Just(Shape::Ids)];
    let shuffled = prop_oneof![Just(Vec::new()), prop::collection::vec(any::<u16>(), 1..30)];
    let flags = prop::bool::weighted(0.8);
    (shape, any::<bool>(), flags, any::<bool>(), any::<bool>(), shuffled).prop_map(
        |(shape, namespaces, flags, sparse, turned, shuffled)| Way {
            shape,
            namespaces,
            flags,
            sparse,
            turned,
            shuffled,
        },
    )
}

fn any_objects() -> impl Strategy<Value = Objects> {
    prop::collection::btree_map((0u8..2, 0u8..40), any::<Option<bool>>(), 0..40)
}

/// What the lines of `--combined` say, or `None` where an id is there twice for want of namespaces.
fn expected(objects: [&Objects; 2], ways: [&Way; 2]) -> Option<Vec<String>> {
    let by_namespace = [0, 1].iter().all(|side| {
        // Where JSON Lines have no row, they lack no column; an empty file is taken for a list of ids here.
        ways[*side].has_namespaces() && (matches!(ways[*side].shape, Shape::Csv) || !objects[*side].is_empty())
    });
    let mut all: BTreeMap<(u8, u8), [Option<Option<State>>; 2]> = BTreeMap::new();
    for side in [0, 1] {
        for ((namespace, id), flag) in objects[side] {
            let state = ways[side]
                .has_flags(objects[side])
                .then(|| StoredData::from(*flag).into());
            let cell = &mut all.entry((if by_namespace { *namespace } else { 0 }, *id)).or_default()[side];
            if cell.replace(state).is_some() {
                return None;
            }
        }
    }
    let lines = all.iter().map(|((_, id), [old, new])| {
        let symbol = match (old, new) {
            (None, _) => '+',
            (_, None) => '-',
            (Some(old), Some(new)) if old == new => '=',
            (Some(Some(_)), Some(Some(_))) => '*',
            _ => '!',
        };
        format!("{symbol} {}", hex::encode([*id; 32]))
    });
    Some(lines.collect())
}

fn diff(files: [&str; 2], format: LineFormat, room: usize) -> Result<(String, Tally), DiffError> {
    let folder = tempfile::tempdir().unwrap();
    let mut sides = ["from.txt", "to.txt"].into_iter().zip(files).map(|(name, text)| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        FileSide::file(&Location::File(path)).map(Side::Files)
    });
    let (mut from, mut to) = (sides.next().unwrap()?, sides.next().unwrap()?);
    let plan = plan([&mut from, &mut to], format, None)?;
    let limits = Limits { sorted_in_memory: room };
    let found = compare_sides([&from, &to], &plan.namespaces, format, limits)?;
    let (_, mut found) = plan.complete(found);
    let mut text = String::new();
    found.lines.read_to_string(&mut text).unwrap();
    Ok((text, found.tally))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]

    #[test]
    fn two_files_differ_as_two_maps_do(
        from in any_objects(), to in any_objects(), ways in [any_way(), any_way()], room in 1usize..50,
    ) {
        let texts = [ways[0].write(&from), ways[1].write(&to)];
        let combined = diff([&texts[0], &texts[1]], LineFormat::Combined, room);
        match expected([&from, &to], [&ways[0], &ways[1]]) {
            None => prop_assert!(matches!(combined, Err(DiffError::Duplicates { .. })), "{texts:?}"),
            Some(lines) => {
                let (text, tally) = combined.unwrap();
                prop_assert_eq!(text.lines().collect::<Vec<_>>(), lines.clone(), "{:?}", texts);
                let count = |symbol| lines.iter().filter(|line| line.starts_with(symbol)).count() as u64;
                let total = tally.total();
                prop_assert_eq!((total.changes[ChangeKind::Created], total.changes[ChangeKind::Removed]), (count('+'), count('-')));
                prop_assert_eq!((total.same, total.not_comparable), (count('='), count('!')));
                // The changes alone are those that are none of the others.
                let (changes, _) = diff([&texts[0], &texts[1]], LineFormat::Text, room).unwrap();
                prop_assert_eq!(changes.lines().count() as u64, total.changed());
            }
        }
    }
}

/// A file of a person who copied ids together does not say in which namespace they are.
#[test]
fn an_id_in_two_namespaces_is_told_apart_only_where_both_sides_can() {
    let id = hex::encode([7; 32]);
    let both = format!("namespace_id,object_id\nn1,{id}\nn2,{id}\n");
    let (lines, _) = diff([&both, &both], LineFormat::Combined, 10).unwrap();
    assert_eq!(lines, format!("= {id}\n= {id}\n"));
    let error = diff([&both, &format!("{id}\n")], LineFormat::Combined, 10).unwrap_err();
    assert!(
        error.to_string().contains("the first is in the namespaces n1 and n2"),
        "{error}"
    );
}

#[test]
fn duplicates_are_counted_and_the_first_are_named() {
    let ids: Vec<_> = (0..10).map(|n| hex::encode([n; 32])).collect();
    let twice = ids.iter().chain(&ids).chain(&ids[..2]).map(|id| format!("{id}\n"));
    let twice: String = twice.collect();
    let one = format!("{}\n", ids[0]);
    for room in [3, 100] {
        let Err(DiffError::Duplicates { duplicates, .. }) = diff([&one, &twice], LineFormat::Text, room) else {
            panic!("no duplicates with {room}");
        };
        assert_eq!(duplicates.count, 10);
        let told = duplicates.to_string();
        assert!(
            told.starts_with("10 ids more than once: 0000") && told.ends_with(" and 5 more"),
            "{told}"
        );
    }
}
