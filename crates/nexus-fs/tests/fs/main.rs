//! What the filesystem promises, over real drivers. Each test's doc comment is a sentence
//! of `docs/SEMANTICS.md`.

mod content;
mod files;
mod history;
mod namespace;
mod support;
