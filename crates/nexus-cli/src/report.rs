//! Errors, warnings and successes as people and programs read them.

use std::io::{IsTerminal, Write, stderr};

use nexus_client::{Changed, Error, Kind, Outcome, Result};
use serde_json::{Map, Value};

use crate::app::App;
use crate::exit::Exit;
use crate::{format, json};

/// Writes the error to standard error, and gives the status to end with.
pub(crate) fn report(error: &Error, as_json: bool) -> Exit {
    let text = if as_json {
        error_json(error).to_string()
    } else {
        text(error)
    };
    // Nobody is left to tell if this fails.
    let _ = writeln!(stderr(), "{text}");
    error.kind().into()
}

/// Writes a warning to standard error.
pub(crate) fn warn(text: &str) {
    let _ = writeln!(stderr(), "warning: {}", format::printable(text));
}

/// Whether people watch standard error.
pub(crate) fn is_watched() -> bool {
    stderr().is_terminal()
}

fn text(error: &Error) -> String {
    let hint = hint(error.kind());
    let error = format::printable(&error.to_string());
    match hint {
        Some(hint) => format!("error: {error}\nhint: {hint}"),
        None => format!("error: {error}"),
    }
}

/// What to do next, where the error's own sentence knows only the node's side.
fn hint(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Unauthenticated => Some(
            "pass --key or --key-file, or set NEXUS_API_KEY; nexus-node printed a key when it first \
             started",
        ),
        Kind::PermissionDenied => Some("`nexus whoami` shows what your key may do, and where"),
        Kind::Corrupt => Some("`nexus verify` checks everything the node stores"),
        _ => None,
    }
}

fn error_json(error: &Error) -> Value {
    let facts = error.context().iter();
    let context: Map<String, Value> = facts
        .map(|(name, value)| ((*name).to_owned(), value.clone().into()))
        .collect();
    serde_json::json!({"error": {
        "kind": error.kind().as_str(),
        "message": error.message(),
        "context": context,
        "outcome_unknown": error.outcome() == Outcome::Unknown,
    }})
}

/// Shows what a change to a file made of it.
pub(crate) fn wrote(app: &mut App, path: &str, changed: &Changed) -> Result<()> {
    app.out.show(
        || json::changed(changed),
        |_| match &changed.stat {
            Some(stat) if !stat.is_dir() => {
                let size = format::size(stat.size);
                format!(
                    "{path}: {size}, version {}, revision {}",
                    stat.version, changed.revision
                )
            }
            _ => format!("{path}: revision {}", changed.revision),
        },
    )
}

/// Shows a change that leaves nothing to tell: silent for people.
pub(crate) fn done(app: &mut App, changed: &Changed) -> Result<()> {
    app.out.show(|| json::changed(changed), |_| String::new())
}
