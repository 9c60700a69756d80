//! Rules about the text of one file.

use super::{Finding, SourceFile};

const LINES_MAX: usize = 600;

// Put together here so that this file keeps its own rules.
const UNFINISHED: [&str; 3] = [
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("#[", "ignore"),
];
const FOREIGN_PATHS: [&str; 3] = [
    concat!("/wo", "rk/"),
    concat!("/fa", "rm/"),
    concat!(".lib", "rary"),
];

/// What is wrong in this file.
pub(super) fn findings(file: &SourceFile) -> Vec<Finding> {
    let mut findings = whitespace(file);
    findings.extend(foreign_paths(file));
    if file.is_rust() {
        findings.extend(length(file));
        findings.extend(module_file(file));
        findings.extend(unfinished(file));
        findings.extend(feature_switches(file));
    }
    findings
}

fn length(file: &SourceFile) -> Option<Finding> {
    let lines = file.lines().count();
    (lines > LINES_MAX).then(|| {
        let message = format!(
            "{lines} lines; a file over {LINES_MAX} has two subjects: split it where a name appears"
        );
        Finding::in_file(&file.path, message)
    })
}

fn module_file(file: &SourceFile) -> Option<Finding> {
    (file.name() == "mod.rs").then(|| {
        let message = "name the module's file after it (foo.rs beside foo/), so that an editor's \
                       tabs tell modules apart";
        Finding::in_file(&file.path, message)
    })
}

fn unfinished(file: &SourceFile) -> Vec<Finding> {
    lines_with(file, &UNFINISHED, |word| {
        format!("`{word}`: finish it or leave it out; what is in the tree works and is tested")
    })
}

fn foreign_paths(file: &SourceFile) -> Vec<Finding> {
    lines_with(file, &FOREIGN_PATHS, |path| {
        format!("`{path}` is a path of one machine; write it relative to the root")
    })
}

fn whitespace(file: &SourceFile) -> Vec<Finding> {
    let message = "trailing whitespace makes diffs noisy";
    let mut findings: Vec<Finding> = file
        .lines()
        .filter(|(_, line)| line.ends_with([' ', '\t']))
        .map(|(number, _)| Finding::at(&file.path, number, message))
        .collect();
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::in_file(
            &file.path,
            "the last line has no end; diffs show it twice",
        ));
    }
    findings
}

fn feature_switches(file: &SourceFile) -> Vec<Finding> {
    if may_switch_features(&file.path) {
        return Vec::new();
    }
    let message = "features are switched in nexus-node's drivers.rs and doors.rs and inside driver \
                   crates only, so that no other crate has builds that nobody tests";
    file.lines()
        .filter(|(_, line)| is_feature_switch(line))
        .map(|(number, _)| Finding::at(&file.path, number, message))
        .collect()
}

fn is_feature_switch(line: &str) -> bool {
    let line: String = line.split_whitespace().collect();
    line.contains("cfg") && line.contains(concat!("feature", "=\""))
}

fn may_switch_features(path: &str) -> bool {
    path.starts_with("crates/nexus-driver-")
        || ["drivers.rs", "doors.rs"]
            .iter()
            .any(|name| path.strip_prefix("crates/nexus-node/src/") == Some(*name))
}

fn lines_with(file: &SourceFile, words: &[&str], message: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in file.lines() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            findings.push(Finding::at(&file.path, number, message(word)));
        }
    }
    findings
}

#[cfg(test)]
mod tests;
