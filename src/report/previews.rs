//! The previews of one script and class as one entry: hundreds of short-lived namespaces would bury the others.

use std::collections::HashMap;

use super::{NamespaceFigures, Report, Totals};

/// A line in a list of namespaces.
#[derive(Debug, Clone)]
pub enum ReportEntry<'a> {
    Namespace(&'a NamespaceFigures),
    Previews(Box<Previews<'a>>),
}

/// Two or more previews of one script and class.
#[derive(Debug, Clone)]
pub struct Previews<'a> {
    pub script: &'a str,
    pub class: &'a str,
    /// Largest first.
    pub namespaces: Vec<&'a NamespaceFigures>,
    pub totals: Totals,
}

impl ReportEntry<'_> {
    /// `None` before the first published snapshot.
    fn objects(&self) -> Option<u64> {
        match self {
            Self::Namespace(figures) => figures.newest.map(|newest| newest.count.objects),
            Self::Previews(previews) => Some(previews.totals.count.objects),
        }
    }

    fn account(&self) -> &str {
        match self {
            Self::Namespace(figures) => &figures.account_id,
            Self::Previews(previews) => previews.namespaces.first().map_or("", |first| &first.account_id),
        }
    }
}

impl Report {
    /// The namespaces that are neither missing nor retired, with the previews of one script and class as one entry.
    /// Largest first within an account.
    pub fn entries(&self) -> Vec<ReportEntry<'_>> {
        let mut by_class: HashMap<_, Vec<&NamespaceFigures>> = HashMap::new();
        for (class, figures) in self
            .present()
            .filter_map(|figures| Some((preview_of(figures)?, figures)))
        {
            by_class.entry(class).or_default().push(figures);
        }
        by_class.retain(|_, previews| previews.len() > 1);
        let alone =
            |figures: &&NamespaceFigures| preview_of(figures).is_none_or(|class| !by_class.contains_key(&class));
        let mut entries: Vec<_> = self.present().filter(alone).map(ReportEntry::Namespace).collect();
        let mut grouped: Vec<_> = by_class.into_iter().collect();
        grouped.sort_by_key(|(class, _)| *class);
        entries.extend(grouped.into_iter().map(|((_, script, class), namespaces)| {
            ReportEntry::Previews(Box::new(Previews {
                script,
                class,
                totals: Totals::of(namespaces.iter().copied()),
                namespaces,
            }))
        }));
        entries.sort_by(|one, other| (one.account().cmp(other.account())).then(other.objects().cmp(&one.objects())));
        entries
    }
}

/// Account, script and class of a preview. Those of a namespace of which the API did not tell them are unknown.
fn preview_of(figures: &NamespaceFigures) -> Option<(&str, &str, &str)> {
    let class = (figures.is_preview).then_some(figures.class.as_deref()?)?;
    Some((&figures.account_id, figures.script.as_deref()?, class))
}
