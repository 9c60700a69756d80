//! Changed lines, word by word.

use similar::{Algorithm, DiffTag, capture_diff_slices};

/// Writes lines that are equal, or what was made of them.
pub(super) fn write_op(
    text: &mut String,
    tag: DiffTag,
    old: &[&str],
    new: &[&str],
    pairs_left: &mut usize,
) {
    let mut runs = Runs { text, open: None };
    if tag == DiffTag::Equal {
        old.iter()
            .flat_map(|line| words(line))
            .for_each(|word| runs.add(' ', word));
        return runs.end();
    }
    let old: Vec<&str> = old.iter().flat_map(|line| words(line)).collect();
    let new: Vec<&str> = new.iter().flat_map(|line| words(line)).collect();
    let pairs = (old.len() + new.len()).saturating_mul(old.len() + new.len());
    if pairs > *pairs_left {
        // Shown as replaced whole, as lines are.
        old.iter().for_each(|word| runs.add('-', word));
        new.iter().for_each(|word| runs.add('+', word));
        return runs.end();
    }
    *pairs_left -= pairs;
    for op in capture_diff_slices(Algorithm::Myers, &old, &new) {
        if op.tag() == DiffTag::Equal {
            new[op.new_range()]
                .iter()
                .for_each(|word| runs.add(' ', word));
        } else {
            old[op.old_range()]
                .iter()
                .for_each(|word| runs.add('-', word));
            new[op.new_range()]
                .iter()
                .for_each(|word| runs.add('+', word));
        }
    }
    runs.end();
}

/// Runs of words of one kind, each on a line of its own.
struct Runs<'t> {
    text: &'t mut String,
    open: Option<char>,
}

impl Runs<'_> {
    fn add(&mut self, mark: char, word: &str) {
        if word == "\n" {
            // A line that ends in both texts, or that came or went.
            self.end();
            if mark == ' ' {
                self.text.push_str("~\n");
            } else {
                self.text.push(mark);
                self.text.push_str("\n~\n");
            }
            return;
        }
        if self.open != Some(mark) {
            self.end();
            self.text.push(mark);
            self.open = Some(mark);
        }
        self.text.push_str(word);
    }

    fn end(&mut self) {
        if self.open.take().is_some() {
            self.text.push('\n');
        }
    }
}

/// The words of a line: letters and digits, white space, the line's end, and any other
/// character by itself.
fn words(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = line;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let kind = kind_of(first);
        let end = match kind {
            Kind::Single => first.len_utf8(),
            _ => rest.find(|c| kind_of(c) != kind).unwrap_or(rest.len()),
        };
        let (word, after) = rest.split_at(end);
        rest = after;
        Some(word)
    })
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Word,
    Space,
    Single,
}

fn kind_of(c: char) -> Kind {
    match c {
        '\n' => Kind::Single,
        _ if c.is_alphanumeric() || c == '_' => Kind::Word,
        _ if c.is_whitespace() => Kind::Space,
        _ => Kind::Single,
    }
}
