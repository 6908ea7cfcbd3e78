//! The pages, their blocks and their inline code.

use std::fs;
use std::path::{Path, PathBuf};

/// A Markdown file of the checkout.
pub struct Page {
    /// Relative to the checkout.
    pub path: String,
    pub text: String,
}

/// A fenced block of code.
#[derive(Debug, Clone, Copy)]
pub struct Block<'a> {
    pub language: &'a str,
    pub text: &'a str,
}

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The pages for users: README.md, SECURITY.md and docs/.
pub fn pages() -> Vec<Page> {
    let docs = fs::read_dir(root().join("docs")).unwrap();
    let docs = docs.map(|entry| PathBuf::from("docs").join(entry.unwrap().file_name()));
    let mut paths: Vec<_> = docs
        .filter(|path| path.extension().is_some_and(|end| end == "md"))
        .collect();
    paths.extend(["README.md", "SECURITY.md"].map(PathBuf::from));
    paths.sort();
    paths.iter().map(|path| Page::read(path.to_str().unwrap())).collect()
}

/// The only block of the page in this language that begins with `start`.
pub fn block(page: &str, language: &str, start: &str) -> String {
    let page = Page::read(page);
    let found = page.blocks().into_iter();
    let mut found = found.filter(|block| block.language == language && block.text.starts_with(start));
    let block = found
        .next()
        .unwrap_or_else(|| panic!("{} has no block {start}", page.path));
    assert!(found.next().is_none(), "{} has several blocks {start}", page.path);
    block.text.to_owned()
}

impl Page {
    pub fn read(path: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: fs::read_to_string(root().join(path)).unwrap(),
        }
    }

    pub fn blocks(&self) -> Vec<Block<'_>> {
        let mut blocks = Vec::new();
        let mut rest = self.text.as_str();
        while let Some((_, after)) = rest.split_once("\n```") {
            let (language, after) = after.split_once('\n').unwrap();
            let (text, after) = after
                .split_once("```")
                .unwrap_or_else(|| panic!("{}: a block has no end", self.path));
            blocks.push(Block { language, text });
            rest = after;
        }
        blocks
    }

    /// The lines outside of blocks.
    pub fn prose(&self) -> impl Iterator<Item = &str> {
        let mut inside = false;
        self.text.lines().filter(move |line| {
            let fence = line.starts_with("```");
            inside ^= fence;
            !inside && !fence
        })
    }

    /// Inline code, also where it continues on the next line.
    pub fn inline_code(&self) -> Vec<String> {
        let prose = self.prose().collect::<Vec<_>>();
        let paragraphs = prose.split(|line| line.is_empty()).map(|lines| lines.join(" "));
        let spans = paragraphs.flat_map(|paragraph| {
            let parts: Vec<_> = paragraph.split('`').map(str::to_owned).collect();
            assert!(parts.len() % 2 == 1, "{}: {paragraph}", self.path);
            parts.into_iter().skip(1).step_by(2)
        });
        spans.collect()
    }
}
