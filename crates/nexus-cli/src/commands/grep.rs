//! `grep`.

use clap::Args;
use futures::TryStreamExt;
use nexus_client::{GrepMatch, GrepQuery, Result};

use crate::app::App;
use crate::args::AtArgument;
use crate::exit::Exit;
use crate::json;
use crate::location::PastPath;

mod lines;

use lines::Lines;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus grep 'fn main' /project --include '*.rs'
  nexus grep -iF 'to do' -C 2                     Plain text, two lines around each match
  nexus grep -l secret / --at '1 day ago'         Which files had it yesterday

Ends with 1 if nothing matched.")]
pub struct Grep {
    /// A regular expression
    pattern: String,
    /// A directory or file
    #[arg(default_value = "/")]
    path: PastPath,
    /// Upper and lower case are the same
    #[arg(short, long)]
    ignore_case: bool,
    /// The pattern is plain text
    #[arg(short = 'F', long)]
    fixed_strings: bool,
    /// The pattern may span lines
    #[arg(short = 'U', long)]
    multiline: bool,
    /// Lines to show before each match
    #[arg(short = 'B', long, value_name = "LINES")]
    before_context: Option<u32>,
    /// Lines to show after each match
    #[arg(short = 'A', long, value_name = "LINES")]
    after_context: Option<u32>,
    /// Lines to show around each match
    #[arg(short = 'C', long, value_name = "LINES", default_value_t = 0)]
    context: u32,
    /// Only files that match this glob
    #[arg(short = 'g', long, value_name = "GLOB")]
    include: Option<String>,
    /// Just the names of files that match
    #[arg(short = 'l', long)]
    files_with_matches: bool,
    /// At most so many matches of one file
    #[arg(short, long, value_name = "COUNT")]
    max_count: Option<u64>,
    /// Stop after so many matches
    #[arg(long, value_name = "COUNT")]
    max_results: Option<u64>,
    /// Leave out hidden names and what .gitignore files say
    #[arg(long)]
    ignore: bool,
    #[command(flatten)]
    at: AtArgument,
}

impl Grep {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let names_only = self.files_with_matches;
        let mut lines = Lines::new(app.out.style(), app.out.is_live(), self.has_context());
        let mut matches = client.grep(self.query(app)?).await?;
        app.exit = Exit::Failure;
        while let Some(found) = matches.try_next().await? {
            app.exit = Exit::Ok;
            if names_only {
                show_name(&found, app)?;
            } else if app.out.is_json() {
                app.out
                    .show(|| json::grep_match(&found), |_| String::new())?;
            } else {
                write(&lines.add(found), app)?;
            }
        }
        write(&lines.finish(), app)
    }

    fn has_context(&self) -> bool {
        self.before() + self.after() > 0
    }

    fn before(&self) -> u32 {
        self.before_context.unwrap_or(self.context)
    }

    fn after(&self) -> u32 {
        self.after_context.unwrap_or(self.context)
    }

    fn query(self, app: &App) -> Result<GrepQuery> {
        Ok(GrepQuery {
            at: self.at.of(&self.path, app)?,
            path: self.path.to_string(),
            file_pattern: self.include.clone(),
            ignore_case: self.ignore_case,
            literal: self.fixed_strings,
            multi_line: self.multiline,
            before: self.before(),
            after: self.after(),
            max_per_file: if self.files_with_matches {
                Some(1)
            } else {
                self.max_count
            },
            ignore: self.ignore,
            file_bytes_max: None,
            max_results: self.max_results,
            pattern: self.pattern,
        })
    }
}

fn show_name(found: &GrepMatch, app: &mut App) -> Result<()> {
    let path = &found.path;
    app.out.show(
        || serde_json::json!({"path": path}),
        |_| crate::format::printable(path),
    )
}

fn write(lines: &[String], app: &mut App) -> Result<()> {
    lines.iter().try_for_each(|line| app.out.line(line))
}
