//! `lineage`: where a file comes from, and what was made of it.

use clap::Args;
use nexus_client::{
    LineageDirection, LineageEntry, LineageFile, LineagePage, LineageQuery, LineageSource, Result,
};

use crate::app::App;
use crate::args::AtArgument;
use crate::format::{self, printable};
use crate::json;
use crate::location::PastPath;
use crate::style::{Paint, Style};

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus lineage /report.md                  Both ways
  nexus lineage /report.md --ancestors      Where it comes from
  nexus lineage /template.md --descendants  What was made of it
  nexus lineage '/report.md@{2h}' --depth 1

Copies, edits, rollbacks, restores, merges and imports are followed across all names that the
files had.")]
pub struct Lineage {
    /// The file, as it is or, written PATH@{POINT}, as it was
    path: PastPath,
    /// Only where it comes from
    #[arg(long, conflicts_with = "descendants")]
    ancestors: bool,
    /// Only what was made of it
    #[arg(long)]
    descendants: bool,
    /// At most so many steps away from the file
    #[arg(long, value_name = "STEPS")]
    depth: Option<u32>,
    /// At most so many entries
    #[arg(short = 'n', long, value_name = "COUNT")]
    limit: Option<u32>,
    #[command(flatten)]
    at: AtArgument,
}

impl Lineage {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let query = LineageQuery {
            at: self.at.of(&self.path, app)?,
            direction: match (self.ancestors, self.descendants) {
                (true, _) => Some(LineageDirection::Ancestors),
                (_, true) => Some(LineageDirection::Descendants),
                _ => None,
            },
            depth: self.depth.unwrap_or(0),
            limit: self.limit.unwrap_or(0),
            cursor: None,
        };
        let page = client.lineage(self.path.as_str(), query).await?;
        app.out
            .show(|| json::lineage(&page), |style| drawing(&page, style))
    }
}

/// A lineage as trees: what it comes from, and what was made of it.
fn drawing(page: &LineagePage, style: Style) -> String {
    let mut lines = vec![style.paint(Paint::Strong, &file(&page.file))];
    let both = [
        (LineageDirection::Ancestors, "comes from"),
        (LineageDirection::Descendants, "became"),
    ];
    for (direction, title) in both {
        let entries = page
            .entries
            .iter()
            .filter(|entry| entry.direction == direction);
        let entries: Vec<&LineageEntry> = entries.collect();
        if entries.is_empty() {
            continue;
        }
        lines.push(title.to_owned());
        let depths: Vec<u32> = entries.iter().map(|entry| entry.depth).collect();
        let branches = branches(&depths);
        let drawn = branches.into_iter().zip(&entries);
        lines.extend(drawn.map(|(branch, entry)| branch + &line(entry, style)));
    }
    if page.entries.is_empty() && page.hidden == 0 {
        lines.push("nothing is on record of where it comes from or what was made of it".to_owned());
    }
    if page.hidden > 0 {
        let more = format!(
            "and {} that you may not see",
            format::count(page.hidden, "step")
        );
        lines.push(style.paint(Paint::Faint, &more));
    }
    if page.next.is_some() {
        lines.push(style.paint(Paint::Faint, "and more; ask for it with --limit"));
    }
    lines.join("\n")
}

/// The lines that lead to each entry of a tree, of which the depths are given in order.
fn branches(depths: &[u32]) -> Vec<String> {
    let mut drawn = Vec::with_capacity(depths.len());
    // Whether another entry of that depth follows below the same one.
    let mut follows: Vec<bool> = Vec::new();
    for depth in depths.iter().rev() {
        let depth = *depth as usize;
        follows.resize(depth, false);
        let (own, above) = follows.split_last_mut().expect("a depth is at least 1");
        let above = above
            .iter()
            .map(|follows| if *follows { "│   " } else { "    " });
        let branch = if *own { "├── " } else { "└── " };
        drawn.push(above.chain([branch]).collect());
        *own = true;
    }
    drawn.reverse();
    drawn
}

fn line(entry: &LineageEntry, style: Style) -> String {
    let there = match (entry.direction, &entry.source) {
        (LineageDirection::Descendants, _) => file(&entry.file),
        (_, LineageSource::File(source)) => file(source),
        (_, LineageSource::External(name)) => printable(name),
    };
    let made = format!(
        "{}  r{}  {}",
        format::time(entry.time),
        entry.revision.0,
        printable(&entry.actor),
    );
    let kind = style.paint(Paint::Strong, &printable(&entry.kind));
    format!("{kind}  {there}  {}", style.paint(Paint::Faint, &made))
}

/// A version by the path it had, and where the file is now, if that is elsewhere.
fn file(file: &LineageFile) -> String {
    let version = match file.version {
        0 => String::new(),
        version => format!(" v{version}"),
    };
    match (&file.path, &file.path_now) {
        (Some(then), Some(now)) if then == now => format!("{}{version}", printable(now)),
        (Some(then), Some(now)) => {
            format!("{}{version} (now {})", printable(then), printable(now))
        }
        (Some(then), None) => format!("{}{version} (gone)", printable(then)),
        (None, Some(now)) => format!("{}{version}", printable(now)),
        (None, None) => format!("inode {}{version}", file.ino),
    }
}

#[cfg(test)]
mod tests;
