//! How far a transfer is, for people who watch.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use crate::format;
use crate::report::is_watched;

/// A line on standard error that is redrawn, if that is a terminal.
#[derive(Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
    files: Arc<AtomicU64>,
}

impl Progress {
    /// Without an end in sight.
    pub(crate) fn spinner(wanted: bool) -> Self {
        Self::new(
            wanted,
            ProgressBar::new_spinner(),
            "{spinner} {msg} {elapsed}",
        )
    }

    /// Towards so many bytes.
    pub(crate) fn bar(wanted: bool, bytes: u64) -> Self {
        let template = "{bar:30} {percent:>3}% {decimal_bytes_per_sec:>12} {msg}, {eta} left";
        Self::new(wanted, ProgressBar::new(bytes), template)
    }

    fn new(wanted: bool, bar: ProgressBar, template: &str) -> Self {
        let bar = if wanted && is_watched() {
            bar
        } else {
            ProgressBar::hidden()
        };
        let style = ProgressStyle::with_template(template).expect("the templates are ours");
        bar.set_style(style);
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        Self {
            bar,
            files: Arc::default(),
        }
    }

    /// Whether anybody sees it.
    pub(crate) fn is_shown(&self) -> bool {
        !self.bar.is_hidden()
    }

    pub(crate) fn say(&self, text: &str) {
        if self.is_shown() {
            self.bar.set_message(text.to_owned());
        }
    }

    /// Bytes that are done with.
    pub(crate) fn advance(&self, bytes: u64) {
        self.bar.inc(bytes);
    }

    /// One more file that is done with.
    pub(crate) fn file(&self) {
        let files = self.files.fetch_add(1, Ordering::Relaxed) + 1;
        if self.is_shown() {
            self.bar.set_message(format::count(files, "file"));
        }
    }

    /// Writes something else to standard error without tearing the line.
    pub(crate) fn aside(&self, write: impl FnOnce()) {
        self.bar.suspend(write);
    }

    /// Takes the line away.
    pub(crate) fn end(&self) {
        self.bar.finish_and_clear();
    }
}
