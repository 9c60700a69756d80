//! Results on standard output, for people or for programs.

use std::io::{BufWriter, Write};

use nexus_client::Result;
use serde_json::Value;

use crate::io::io_error;
use crate::style::Style;

/// Where results go, and in which form.
pub struct Output {
    sink: BufWriter<Box<dyn Write + Send>>,
    json: bool,
    live: bool,
    style: Style,
}

impl Output {
    /// Writes to `sink`: JSON, one document a line, or text, with colours if asked for. A live
    /// output shows each line at once.
    #[must_use]
    pub fn new(sink: Box<dyn Write + Send>, json: bool, color: bool, live: bool) -> Self {
        let sink = BufWriter::with_capacity(64 * 1024, sink);
        Self {
            sink,
            json,
            live,
            style: Style {
                color: color && !json,
            },
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    /// Whether a person watches the output.
    pub(crate) fn is_live(&self) -> bool {
        self.live
    }

    pub(crate) fn style(&self) -> Style {
        self.style
    }

    /// Writes one result, in the form asked for. An empty text is not written.
    pub(crate) fn show(
        &mut self,
        json: impl FnOnce() -> Value,
        text: impl FnOnce(Style) -> String,
    ) -> Result<()> {
        if self.json {
            return self.line(&json().to_string());
        }
        match text(self.style).as_str() {
            "" => Ok(()),
            text => self.line(text),
        }
    }

    /// Writes a line of text.
    pub(crate) fn line(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")?;
        if self.live { self.flush() } else { Ok(()) }
    }

    /// Writes bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.sink.write_all(bytes).map_err(|error| failed(&error))
    }

    /// Makes everything written so far visible.
    pub(crate) fn flush(&mut self) -> Result<()> {
        self.sink.flush().map_err(|error| failed(&error))
    }
}

fn failed(error: &std::io::Error) -> nexus_client::Error {
    io_error("could not write the output", error)
}
