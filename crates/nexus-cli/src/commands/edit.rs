//! `edit`.

use std::io::Read;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use nexus_client::{Durability, EditOptions, Error, Result};
use serde_json::Value;

use crate::app::App;
use crate::args::DurabilityArgument;
use crate::io::io_error;
use crate::json;
use crate::location::RemotePath;

/// Most bytes in a file of edits.
const EDITS_BYTES_MAX: u64 = 16 << 20;

#[derive(Args, Debug)]
#[command(group = ArgGroup::new("source").required(true).args(["old", "edits"]))]
#[command(after_help = "\
Examples:
  nexus edit /a.rs --old 'let x = 1;' --new 'let x = 2;'
  nexus edit /a.rs --old 'TODO' --new 'DONE' --all --dry-run
  nexus edit /a.rs --edits edits.json
  echo '[{\"old\": \"a\", \"new\": \"b\", \"line\": 3, \"all\": false}]' | nexus edit /a.rs --edits -

A passage is found exactly, else whatever its spaces, else by likeness. If one is not found, or
in several places, nothing changes.")]
pub struct Edit {
    /// The file
    path: RemotePath,
    /// The passage to replace
    #[arg(long, requires = "new")]
    old: Option<String>,
    /// What to put there
    #[arg(long, requires = "old")]
    new: Option<String>,
    /// Take the match nearest to this line
    #[arg(long, requires = "old")]
    line: Option<u64>,
    /// Replace every match
    #[arg(long, requires = "old")]
    all: bool,
    /// A JSON file with a list of edits, or - for standard input
    #[arg(long, value_name = "FILE", conflicts_with = "old")]
    edits: Option<PathBuf>,
    /// How alike a passage must be, 0 to 1; 1 allows differences in spaces only
    #[arg(long, value_name = "LIKENESS")]
    fuzzy: Option<f64>,
    /// Fail unless the file has this etag
    #[arg(long, value_name = "ETAG")]
    if_match: Option<String>,
    /// Change nothing, show what would change
    #[arg(short = 'n', long)]
    dry_run: bool,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Edit {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let edits = self.edits()?;
        let options = EditOptions {
            if_match: self.if_match,
            fuzzy_threshold: self.fuzzy,
            preview: self.dry_run,
            durability: Durability::from(self.durability),
        };
        let client = app.client().await?;
        let edited = client.edit(self.path.as_str(), edits, options).await?;
        app.out
            .show(|| json::edited(&edited), |style| style.diff(&edited.diff))?;
        match edited.problem {
            None => Ok(()),
            Some(problem) => Err(Error::conflict(problem).with("path", &self.path)),
        }
    }

    fn edits(&self) -> Result<Vec<nexus_client::Edit>> {
        match (&self.edits, &self.old, &self.new) {
            (Some(file), ..) => parse(&read_edits(file)?),
            (None, Some(old), Some(new)) => Ok(vec![nexus_client::Edit {
                old: old.clone(),
                new: new.clone(),
                hint_line: self.line,
                all: self.all,
            }]),
            _ => Err(Error::invalid("give --old and --new, or --edits")),
        }
    }
}

fn read_edits(file: &Path) -> Result<String> {
    let read = |input: &mut dyn Read| {
        let mut text = String::new();
        input
            .take(EDITS_BYTES_MAX)
            .read_to_string(&mut text)
            .map(|_| text)
    };
    let text = match file.as_os_str() == "-" {
        true => read(&mut std::io::stdin()),
        false => std::fs::File::open(file).and_then(|mut file| read(&mut file)),
    };
    text.map_err(|error| io_error("could not read the edits", &error).with("file", file.display()))
}

fn parse(text: &str) -> Result<Vec<nexus_client::Edit>> {
    let value: Value = serde_json::from_str(text).map_err(|error| bad_edits(&error.to_string()))?;
    let list = value
        .as_array()
        .ok_or_else(|| bad_edits("it is not a list"))?;
    list.iter().map(parse_edit).collect()
}

fn parse_edit(value: &Value) -> Result<nexus_client::Edit> {
    let text = |name: &str| match value.get(name).and_then(Value::as_str) {
        Some(text) => Ok(text.to_owned()),
        None => Err(bad_edits(&format!("an edit has no text \"{name}\""))),
    };
    let hint_line = match value.get("line") {
        None | Some(Value::Null) => None,
        Some(line) => Some(
            line.as_u64()
                .ok_or_else(|| bad_edits("\"line\" is a number from 1"))?,
        ),
    };
    let all = match value.get("all") {
        None => false,
        Some(all) => all
            .as_bool()
            .ok_or_else(|| bad_edits("\"all\" is true or false"))?,
    };
    Ok(nexus_client::Edit {
        old: text("old")?,
        new: text("new")?,
        hint_line,
        all,
    })
}

fn bad_edits(reason: &str) -> Error {
    Error::invalid("edits are a JSON list like [{\"old\": \"a\", \"new\": \"b\"}]")
        .with("reason", reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_come_as_a_list() {
        let edits = parse(r#"[{"old":"a","new":"b"},{"old":"c","new":"","line":3,"all":true}]"#);
        let edit = |old: &str, new: &str, hint_line, all| nexus_client::Edit {
            old: old.into(),
            new: new.into(),
            hint_line,
            all,
        };
        let expected = [edit("a", "b", None, false), edit("c", "", Some(3), true)];
        assert_eq!(edits.unwrap(), expected);
    }

    #[test]
    fn anything_else_is_refused() {
        for wrong in [
            "",
            "{}",
            "[1]",
            r#"[{"old":"a"}]"#,
            r#"[{"old":"a","new":"b","line":-1}]"#,
            r#"[{"old":"a","new":"b","all":"yes"}]"#,
        ] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
