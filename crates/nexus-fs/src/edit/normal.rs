//! A text with its whitespace made uniform, and the way back from there.

use std::ops::Range;

/// A text whose lines have neither indentation nor trailing blanks, whose runs of blanks are
/// single spaces and whose lines end in `\n`, the last one too.
pub(super) struct Normal {
    pub(super) text: String,
    /// For each byte of `text`, where it came from. What lies between is indentation.
    spans: Vec<(u32, u32)>,
}

impl Normal {
    /// Of a text of at most 4 GiB.
    pub(super) fn new(text: &str) -> Self {
        let mut normal = Self {
            text: String::with_capacity(text.len()),
            spans: Vec::with_capacity(text.len()),
        };
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            normal.push_line(line, start);
            start += line.len();
        }
        normal
    }

    fn push_line(&mut self, line: &str, start: usize) {
        let content = line.trim_ascii_end();
        let mut at = content.len() - content.trim_ascii_start().len();
        for word in content.split_ascii_whitespace() {
            let word_at = at + content[at..].find(word).expect("the word is on its line");
            if word_at > at {
                self.push(" ", start + at, word_at - at);
            }
            self.text.push_str(word);
            self.spans
                .extend((word_at..word_at + word.len()).map(|i| span(start + i, 1)));
            at = word_at + word.len();
        }
        self.push("\n", start + content.len(), line.len() - content.len());
    }

    fn push(&mut self, blank: &str, start: usize, len: usize) {
        self.text.push_str(blank);
        self.spans.push(span(start, len));
    }

    /// Where a range of the normal text, not empty, came from.
    pub(super) fn origin(&self, range: &Range<usize>) -> Range<usize> {
        self.spans[range.start].0 as usize..self.spans[range.end - 1].1 as usize
    }
}

fn span(start: usize, len: usize) -> (u32, u32) {
    let position = |at| u32::try_from(at).expect("the text is under 4 GiB");
    (position(start), position(start + len))
}

/// The normal form of something quoted: it ends in a line end only if it did before.
pub(super) fn normal_quote(quote: &str) -> String {
    let mut normal = Normal::new(quote).text;
    if !quote.ends_with('\n') {
        normal.pop();
    }
    normal
}
