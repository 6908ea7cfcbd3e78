//! The selection of namespaces by id, or by glob on name, script or class.

use std::fmt;
use std::str::FromStr;

use globset::{GlobBuilder, GlobMatcher};

use crate::model::{Namespace, NamespaceId, canonical_id};
use crate::text::shown;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPattern {
    #[error("a pattern is empty: remove it, or use '*' to match any value")]
    Empty,
    #[error("a table without keys would match everything: give one of id, name, script or class")]
    NoKeys,
    #[error("'{pattern}' is not a glob: {problem}")]
    Glob {
        pattern: String,
        problem: globset::ErrorKind,
    },
}

/// A condition on a namespace.
#[derive(Debug, Clone)]
pub struct Pattern(Kind);

#[derive(Debug, Clone)]
enum Kind {
    /// From the command line: the namespace's id, or a glob that matches its name.
    IdOrName(Glob),
    AllOf(Box<AllOf>),
}

/// From the configuration file: every condition that is given has to hold.
#[derive(Debug, Clone)]
struct AllOf {
    id: Option<NamespaceId>,
    name: Option<Glob>,
    script: Option<Glob>,
    class: Option<Glob>,
}

/// The conditions of [`Pattern::all_of`], before their globs are parsed.
#[derive(Debug, Clone, Default)]
pub struct Parts {
    pub id: Option<NamespaceId>,
    pub name: Option<String>,
    pub script: Option<String>,
    pub class: Option<String>,
}

impl Pattern {
    pub fn all_of(parts: Parts) -> Result<Self, InvalidPattern> {
        let Parts {
            id,
            name,
            script,
            class,
        } = parts;
        if id.is_none() && name.is_none() && script.is_none() && class.is_none() {
            return Err(InvalidPattern::NoKeys);
        }
        let glob = |text: Option<String>| text.as_deref().map(Glob::new).transpose();
        Ok(Self(Kind::AllOf(Box::new(AllOf {
            id,
            name: glob(name)?,
            script: glob(script)?,
            class: glob(class)?,
        }))))
    }

    fn matches(&self, ns: &Namespace) -> bool {
        match &self.0 {
            Kind::IdOrName(text) => text.is(ns.id.as_str()) || text.matches(ns.name.as_deref()),
            Kind::AllOf(all) => {
                let holds = |glob: &Option<Glob>, value: &Option<String>| {
                    glob.as_ref().is_none_or(|glob| glob.matches(value.as_deref()))
                };
                all.id.as_ref().is_none_or(|id| *id == ns.id)
                    && holds(&all.name, &ns.name)
                    && holds(&all.script, &ns.script)
                    && holds(&all.class, &ns.class)
            }
        }
    }

    /// Whether it matches and contains the namespace's id, not only a glob.
    fn names(&self, ns: &Namespace) -> bool {
        let gives_id = match &self.0 {
            Kind::IdOrName(text) => text.is(ns.id.as_str()),
            Kind::AllOf(all) => all.id.is_some(),
        };
        gives_id && self.matches(ns)
    }
}

impl FromStr for Pattern {
    type Err = InvalidPattern;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(Kind::IdOrName(Glob::new(text)?)))
    }
}

/// Formats it as it was written, for warnings.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = match &self.0 {
            Kind::IdOrName(text) => return f.write_str(text.as_str()),
            Kind::AllOf(all) => all,
        };
        let globs = [("name", &all.name), ("script", &all.script), ("class", &all.class)];
        let globs = globs
            .iter()
            .filter_map(|(key, glob)| Some((*key, glob.as_ref()?.as_str())));
        let id = all.id.iter().map(|id| ("id", id.as_str()));
        for (n, (key, value)) in id.chain(globs).enumerate() {
            let comma = if n == 0 { "" } else { ", " };
            write!(f, "{comma}{key} = {value:?}")?;
        }
        Ok(())
    }
}

/// A case-sensitive glob. `*` also matches `/`, because names are not paths.
#[derive(Debug, Clone)]
struct Glob(GlobMatcher);

impl Glob {
    fn new(text: &str) -> Result<Self, InvalidPattern> {
        if text.is_empty() {
            return Err(InvalidPattern::Empty);
        }
        let glob = GlobBuilder::new(text).literal_separator(false).build();
        let glob = glob.map_err(|error| InvalidPattern::Glob {
            pattern: text.to_owned(),
            problem: error.kind().clone(),
        })?;
        Ok(Self(glob.compile_matcher()))
    }

    fn as_str(&self) -> &str {
        self.0.glob().glob()
    }

    fn is(&self, text: &str) -> bool {
        canonical_id(self.as_str()) == canonical_id(text)
    }

    /// A value that is missing matches nothing, not even `*`.
    fn matches(&self, value: Option<&str>) -> bool {
        value.is_some_and(|value| self.0.is_match(value))
    }
}

/// The selected namespaces of an account. Without includes, all are.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    pub include: Vec<Pattern>,
    pub exclude: Vec<Pattern>,
}

impl Selection {
    /// An include that contains the namespace's id takes precedence over every exclude.
    pub fn selects(&self, ns: &Namespace) -> bool {
        let included = self.include.is_empty() || self.include.iter().any(|p| p.matches(ns));
        let excluded = self.exclude.iter().any(|p| p.matches(ns));
        included && (!excluded || self.include.iter().any(|p| p.names(ns)))
    }

    /// Returns the includes that match none of these namespaces. Excludes that match nothing need no warning: they are
    /// for preview deployments, which come and go.
    pub fn unmatched(&self, namespaces: &[Namespace]) -> Vec<String> {
        let idle = |p: &&Pattern| !namespaces.iter().any(|ns| p.matches(ns));
        self.include.iter().filter(idle).map(Pattern::to_string).collect()
    }
}

/// The least Jaro-Winkler similarity at which a name is suggested.
const SIMILAR: f64 = 0.8;

/// The suggestion for a message about patterns that match nothing: the name that is nearest to one of them.
pub fn near<'a>(unmatched: &[String], names: impl Iterator<Item = &'a str> + Clone) -> String {
    let pairs = unmatched
        .iter()
        .flat_map(|asked| names.clone().map(move |name| (strsim::jaro_winkler(asked, name), name)));
    let nearest = pairs.max_by(|(one, _), (other, _)| one.total_cmp(other));
    match nearest.filter(|(alike, _)| *alike >= SIMILAR) {
        Some((_, name)) => format!(" (did you mean {}?)", shown(name)),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests;
