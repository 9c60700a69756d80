//! Numbers, times and attributes as people read them.

use nexus_client::{FileKind, Stat, Timestamp};

/// `12 B`, `3.4 KiB`, `120 MiB`: three digits at most.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    let digits = usize::from(value < 9.95);
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `1 file`, `2 files`.
pub(crate) fn count(number: u64, noun: &str) -> String {
    let ending = match (number, noun.ends_with('y')) {
        (1, _) => return format!("1 {noun}"),
        (_, true) => return format!("{number} {}ies", &noun[..noun.len() - 1]),
        _ if noun.ends_with("ch") => "es",
        _ => "s",
    };
    format!("{number} {noun}{ending}")
}

/// A time as RFC 3339 in UTC, exactly.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    match jiff::Timestamp::from_nanosecond(i128::from(time.0)) {
        Ok(time) => time.to_string(),
        Err(_) => time.0.to_string(),
    }
}

/// A time to the second, in UTC.
pub(crate) fn time(time: Timestamp) -> String {
    let text = rfc3339(time);
    let seconds = text.get(..19).unwrap_or(&text);
    seconds.replace('T', " ")
}

/// `drwxr-xr-x`.
pub(crate) fn mode(kind: FileKind, mode: u32) -> String {
    let mut text = String::with_capacity(10);
    text.push(match kind {
        FileKind::File => '-',
        FileKind::Directory => 'd',
        FileKind::Symlink => 'l',
    });
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (mode & special != 0, bits & 1 != 0) {
            (true, true) => letter,
            (true, false) => letter.to_ascii_uppercase(),
            (false, true) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// The columns of `ls -l` before the name.
pub(crate) fn long(stat: &Stat) -> String {
    format!(
        "{} {:>3} {:<16} {:>9} {}",
        mode(stat.kind, stat.mode),
        stat.links,
        stat.owner,
        size(stat.size),
        time(stat.modified)
    )
}

/// Text from a file on a terminal: control characters made visible.
pub(crate) fn printable(text: &str) -> String {
    let harmless = |c: char| !c.is_control() || c == '\t';
    if text.chars().all(harmless) {
        return text.to_owned();
    }
    text.chars()
        .map(|c| {
            if harmless(c) {
                c.to_string()
            } else {
                c.escape_default().to_string()
            }
        })
        .collect()
}

#[cfg(test)]
mod tests;
