//! Log lines, on standard error.

use std::io::{IsTerminal, stderr};

use nexus_node::{LogConfig, LogFormat};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Begins to log. Standard output is for what the node says to whoever started it.
pub(crate) fn start(config: &LogConfig) {
    let terminal = stderr().is_terminal();
    let text = match config.format {
        LogFormat::Auto => terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let lines = fmt::layer().with_writer(stderr);
    let lines = if text {
        lines.with_ansi(terminal).boxed()
    } else {
        lines.json().flatten_event(true).boxed()
    };
    tracing_subscriber::registry()
        .with(lines.with_filter(config.levels.clone()))
        .init();
}
