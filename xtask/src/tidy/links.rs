//! Links between documents lead somewhere.

use super::{Finding, SourceFile, Tree};

/// Links of a Markdown file that lead to no file of the tree, or to no heading of it.
pub(super) fn findings(file: &SourceFile, tree: &Tree) -> Vec<Finding> {
    if !file.path.ends_with(".md") {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for (number, line) in prose(file) {
        for target in targets(line).filter(|target| !leads_outside(target)) {
            if let Some(reason) = broken(file, target, tree) {
                let message = format!("the link `{target}` is broken: {reason}");
                findings.push(Finding::at(&file.path, number, message));
            }
        }
    }
    findings
}

fn broken(file: &SourceFile, target: &str, tree: &Tree) -> Option<String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        file.path.clone()
    } else {
        resolve(&file.path, path)
    };
    if !tree.has(&path) {
        return Some(format!("there is no {path}"));
    }
    let has_heading = match tree.file(&path) {
        Some(document) if path.ends_with(".md") => prose(document)
            .filter_map(|(_, line)| line.strip_prefix('#'))
            .any(|heading| slug(heading) == anchor),
        _ => true,
    };
    (!anchor.is_empty() && !has_heading).then(|| format!("{path} has no heading `{anchor}`"))
}

/// The lines outside of fenced code.
fn prose(file: &SourceFile) -> impl Iterator<Item = (usize, &str)> {
    let mut fenced = false;
    file.lines().filter(move |(_, line)| {
        let is_fence = line.trim_start().starts_with("```");
        fenced ^= is_fence;
        !fenced && !is_fence
    })
}

/// What stands in `](…)`.
fn targets(line: &str) -> impl Iterator<Item = &str> {
    line.split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ']).next())
}

fn leads_outside(target: &str) -> bool {
    target.contains("://") || target.starts_with("mailto:")
}

/// `target` as written in the file `from`, as a path from the root.
fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            name => parts.push(name),
        }
    }
    parts.join("/")
}

/// The anchor that a heading gets: as GitHub makes it.
fn slug(heading: &str) -> String {
    let kept = heading.trim_start_matches('#').trim().to_lowercase();
    kept.chars()
        .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
        .map(|letter| if letter == ' ' { '-' } else { letter })
        .collect()
}

#[cfg(test)]
mod tests;
