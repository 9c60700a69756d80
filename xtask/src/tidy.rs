//! The rules of the tree that no compiler checks. Each finding says why its rule exists.

mod crates;
mod layers;
mod links;
mod text;

use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, bail};

use crate::shell::{output, root};

/// Checks the whole tree and prints what it finds.
pub(crate) fn check() -> Result<()> {
    let tree = Tree::read(&root())?;
    let packages = crates::workspace_packages()?;
    let mut findings: Vec<Finding> = Vec::new();
    for file in &tree.files {
        findings.extend(text::findings(file));
        findings.extend(links::findings(file, &tree));
    }
    for package in &packages {
        findings.extend(crates::findings(package, &tree));
        findings.extend(layers::findings(package));
    }
    for finding in &findings {
        println!("{finding}");
    }
    if !findings.is_empty() {
        bail!("the tree is not tidy: {} findings", findings.len());
    }
    Ok(())
}

/// One broken rule.
#[derive(Debug, PartialEq, Eq)]
struct Finding {
    path: String,
    /// Counted from 1; 0 means the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn in_file(path: &str, message: impl Into<String>) -> Self {
        Self::at(path, 0, message)
    }

    fn at(path: &str, line: usize, message: impl Into<String>) -> Self {
        Self {
            path: path.to_owned(),
            line,
            message: message.into(),
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(out, "{}: {}", self.path, self.message),
            line => write!(out, "{}:{line}: {}", self.path, self.message),
        }
    }
}

/// A file that git knows or would add, by its path from the root.
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    fn name(&self) -> &str {
        self.path
            .rsplit('/')
            .next()
            .expect("splitting yields at least one part")
    }

    fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Its lines, counted from 1.
    fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line))
    }
}

/// The text files of the checkout.
struct Tree {
    files: Vec<SourceFile>,
}

impl Tree {
    fn read(root: &Path) -> Result<Self> {
        let listing = output(
            "git",
            [
                "ls-files",
                "-z",
                "--cached",
                "--others",
                "--exclude-standard",
            ],
        )?;
        let mut files = Vec::new();
        for path in listing.split_terminator('\0') {
            let bytes = match std::fs::read(root.join(path)) {
                Ok(bytes) => bytes,
                // Deleted, but still in the index.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error).with_context(|| format!("could not read {path}")),
            };
            if let Ok(text) = String::from_utf8(bytes) {
                files.push(SourceFile {
                    path: path.to_owned(),
                    text,
                });
            }
        }
        Ok(Self { files })
    }

    fn file(&self, path: &str) -> Option<&SourceFile> {
        self.files.iter().find(|file| file.path == path)
    }

    /// Whether there is such a file, or such a folder with a file in it.
    fn has(&self, path: &str) -> bool {
        let folder = format!("{path}/");
        path.is_empty()
            || self
                .files
                .iter()
                .any(|file| file.path == path || file.path.starts_with(&folder))
    }
}

#[cfg(test)]
mod tests;
