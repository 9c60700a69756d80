//! How trees differ.

use nexus_client::{
    At, Client, DiffMode, Error, FileDiff, FileKind, Kind, Result, Revision, TreeChange,
    TreeChangeKind, TreeDiffQuery, VersionAt,
};
use serde_json::Value;

use super::{Diff, Side, Sides, compare, show_text, stat_line};
use crate::app::App;
use crate::format::{count, printable};
use crate::json;
use crate::style::{Paint, Style};

/// Changes asked for at once.
const PAGE: u32 = 10_000;

/// What was counted on the way.
#[derive(Default)]
struct Totals {
    files: u64,
    added: u64,
    removed: u64,
}

/// Shows how a tree differs; says whether it does.
pub(super) async fn show(
    ask: &Diff,
    app: &mut App,
    client: &Client,
    sides: &Sides,
) -> Result<bool> {
    let mut query = TreeDiffQuery {
        path: sides.old.path.clone(),
        from: point(&sides.old)?,
        to: point(&sides.new)?,
        to_path: Some(sides.new.path.clone()),
        expand: ask.expand || ask.stat || ask.patch || ask.word,
        limit: PAGE,
        cursor: None,
    };
    let mut totals = Totals::default();
    let mut differs = false;
    loop {
        let page = client.diff_tree(query.clone()).await?;
        for change in &page.changes {
            differs = true;
            let points = [page.from, page.to];
            show_change(ask, app, client, change, points, &mut totals).await?;
        }
        match page.next {
            Some(next) => query.cursor = Some(next),
            None => break,
        }
    }
    if ask.stat && differs && !app.out.is_json() {
        let line = format!(
            "{} changed, {}, {}",
            count(totals.files, "file"),
            count(totals.added, "insertion"),
            count(totals.removed, "deletion"),
        );
        app.out.line(&line)?;
    }
    Ok(differs)
}

fn point(side: &Side) -> Result<At> {
    match &side.at {
        VersionAt::At(at) => Ok(at.clone()),
        VersionAt::Version(_) => Err(Error::invalid(
            "a directory has no versions; name a revision, a time or a snapshot",
        )
        .with("path", side.path.escape_debug())),
    }
}

async fn show_change(
    ask: &Diff,
    app: &mut App,
    client: &Client,
    change: &TreeChange,
    points: [Revision; 2],
    totals: &mut Totals,
) -> Result<()> {
    let text = match ask.stat || ask.patch || ask.word {
        true => content(ask, client, change, points).await?,
        false => None,
    };
    if let Some(text) = &text {
        totals.files += 1;
        totals.added += text.added;
        totals.removed += text.removed;
    }
    if app.out.is_json() {
        return app
            .out
            .show(|| change_json(change, text.as_ref()), |_| String::new());
    }
    let style = app.out.style();
    match text {
        Some(text) if ask.stat => app.out.line(&stat_line(&change.path, &text, style)),
        Some(text) => {
            if change.kind == TreeChangeKind::Renamed || change.attributes || change.metadata {
                app.out.line(&line(change, style))?;
            }
            show_text(app, &text, ask.mode())
        }
        None if ask.stat => Ok(()),
        None if ask.name_status => app.out.line(&name_status(change)),
        None => app.out.line(&line(change, style)),
    }
}

/// How the content of a file differs, if it does.
async fn content(
    ask: &Diff,
    client: &Client,
    change: &TreeChange,
    [from, to]: [Revision; 2],
) -> Result<Option<FileDiff>> {
    let stats = [&change.old, &change.new].into_iter().flatten();
    let mut kinds = stats.map(|stat| stat.kind);
    let alone = change.old.is_none() || change.new.is_none();
    if !(alone || change.content) || kinds.any(|kind| kind != FileKind::File) {
        return Ok(None);
    }
    let old_path = change.old_path.as_ref().unwrap_or(&change.path);
    let side = |path: &str, at| Side {
        path: path.to_owned(),
        at: VersionAt::At(At::revision(at)),
    };
    let sides = Sides {
        old: side(old_path, from),
        new: side(&change.path, to),
    };
    match compare(client, &sides, ask.mode()).await {
        // Too large to be compared line by line.
        Err(error) if error.kind() == Kind::LimitExceeded => {
            compare(client, &sides, DiffMode::Summary).await.map(Some)
        }
        diff => diff.map(Some),
    }
}

/// For programs: what happened, and to what, with tabs between.
fn name_status(change: &TreeChange) -> String {
    let path = printable(&change.path);
    match &change.old_path {
        Some(old) => format!("{}\t{}\t{path}", letters(change), printable(old)),
        None => format!("{}\t{path}", letters(change)),
    }
}

fn letters(change: &TreeChange) -> &'static str {
    let modified = change.content || change.attributes || change.metadata;
    match change.kind {
        TreeChangeKind::Added => "A",
        TreeChangeKind::Removed => "D",
        TreeChangeKind::Modified => "M",
        TreeChangeKind::Renamed if modified => "RM",
        TreeChangeKind::Renamed => "R",
    }
}

/// A change for people.
fn line(change: &TreeChange, style: Style) -> String {
    let paint = match change.kind {
        TreeChangeKind::Added => Paint::Added,
        TreeChangeKind::Removed => Paint::Removed,
        TreeChangeKind::Modified | TreeChangeKind::Renamed => Paint::Path,
    };
    let stat = change.new.as_ref().or(change.old.as_ref());
    let directory = stat.is_some_and(|stat| stat.kind == FileKind::Directory);
    let mut path = printable(&change.path);
    if directory && path != "/" {
        path.push('/');
    }
    let mut line = style.paint(paint, &format!("{:<2} {path}", letters(change)));
    if let Some(old) = &change.old_path {
        line += &format!(" from {}", printable(old));
    }
    if change.below > 0 {
        line += &format!(" with {} below", change.below);
    }
    let notes = [
        (change.attributes, "attributes"),
        (change.metadata, "metadata"),
    ];
    let notes: Vec<&str> = notes
        .iter()
        .filter(|(is, _)| *is)
        .map(|(_, note)| *note)
        .collect();
    if !notes.is_empty() {
        line += &style.paint(Paint::Faint, &format!(" ({})", notes.join(", ")));
    }
    line
}

fn change_json(change: &TreeChange, text: Option<&FileDiff>) -> Value {
    let mut value = json::tree_change(change);
    if let Some(text) = text {
        value["added"] = text.added.into();
        value["removed"] = text.removed.into();
        if !text.text.is_empty() {
            value["diff"] = text.text.as_str().into();
        }
    }
    value
}
