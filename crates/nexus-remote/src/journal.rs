//! What was written to a file and is not known to be flushed, in order.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use nexus_client::{Piece, Written};

use covered::Covered;

mod covered;

#[cfg(test)]
mod tests;

/// Bytes of one call.
pub(crate) const CALL_BYTES_MAX: usize = 1 << 20;
/// Pieces of one call.
const CALL_PIECES_MAX: usize = 1_024;
/// A write below this is added to the one before it where the two touch.
const JOINED_BYTES_MAX: usize = 64 << 10;

/// What was written to a file and is not known to be flushed: first what the node has, then what
/// is on its way, then what has gathered.
#[derive(Default)]
pub(crate) struct Journal {
    entries: VecDeque<Entry>,
    has: usize,
    under_way: usize,
    /// Of the call that is under way, or was the last.
    sequence: u64,
    /// Bytes of all entries.
    bytes: usize,
    /// Bytes of those that have gathered.
    gathered: usize,
    /// The file's size before the first entry.
    base: u64,
    /// The file's version before the first entry that the node has, or had.
    version: u64,
    /// What the node had when it lost the file.
    had: usize,
    /// What was on its way then, next to that.
    in_doubt: usize,
}

struct Entry {
    what: What,
    /// Where it ended: as the node said, or else as is to be expected.
    end: Option<u64>,
    /// An append that a node may have kept before it was lost.
    doubtful: bool,
}

enum What {
    Put(u64, Data),
    Append(Data),
    Truncate(u64),
}

enum Data {
    Whole(Bytes),
    /// Of several writes.
    Joined(BytesMut),
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Nothing: the node has it all.
    Done,
    /// Make this call, or make it again.
    Call(u64, Vec<Piece>),
    /// See whether these bytes are there already.
    Check(u64, Bytes),
}

/// What to make of a file that was lost and is open again.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reopened {
    /// It is as it was before the first entry: all is to be sent.
    AsBefore,
    /// It has another version. If these bytes are there, that is of what the node had.
    Compare(Vec<(u64, Bytes)>),
    /// Others have changed it.
    Changed,
}

impl Journal {
    /// Of a file of this size.
    pub(crate) fn new(size: u64) -> Self {
        Self {
            base: size,
            ..Self::default()
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bytes that it holds.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is something that the node does not have.
    pub(crate) fn is_unsent(&self) -> bool {
        self.has < self.entries.len()
    }

    /// Whether so much has gathered that it is to be sent.
    pub(crate) fn is_full(&self) -> bool {
        let gathered = self.entries.len() - self.has - self.under_way;
        self.gathered >= CALL_BYTES_MAX || gathered >= CALL_PIECES_MAX
    }

    pub(crate) fn put(&mut self, offset: u64, bytes: Bytes) {
        self.count(bytes.len());
        let touches = |entry: &Entry| match &entry.what {
            What::Put(at, data) => at + data.len() as u64 == offset,
            _ => false,
        };
        if let Some(entry) = self.joinable(bytes.len(), touches) {
            return entry.join(&bytes);
        }
        self.push(What::Put(offset, Data::Whole(bytes)));
    }

    pub(crate) fn append(&mut self, bytes: Bytes) {
        self.count(bytes.len());
        let touches = |entry: &Entry| matches!(entry.what, What::Append(_));
        if let Some(entry) = self.joinable(bytes.len(), touches) {
            return entry.join(&bytes);
        }
        self.push(What::Append(Data::Whole(bytes)));
    }

    pub(crate) fn truncate(&mut self, size: u64) {
        self.push(What::Truncate(size));
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        self.gathered += bytes;
    }

    fn push(&mut self, what: What) {
        self.entries.push_back(Entry {
            what,
            end: None,
            doubtful: false,
        });
    }

    /// The last entry, if it may still grow by `more` bytes and `touches` them.
    fn joinable(&mut self, more: usize, touches: impl Fn(&Entry) -> bool) -> Option<&mut Entry> {
        let may_grow = self.entries.len() > self.has + self.under_way;
        let last = self.entries.back_mut().filter(|_| may_grow)?;
        let fits = more < JOINED_BYTES_MAX && last.len() + more <= CALL_BYTES_MAX;
        (fits && !last.doubtful && touches(last)).then_some(last)
    }

    /// What to do next. A call is the same until it is [answered](Self::answered).
    pub(crate) fn next(&mut self) -> Next {
        let rest = self.entries.range(self.has..);
        if self.under_way == 0 {
            match rest.clone().next() {
                None => return Next::Done,
                Some(entry) if entry.doubtful => return entry.check(),
                Some(_) => {}
            }
            let mut bytes = 0;
            let fits = |entry: &&Entry| {
                bytes += entry.len();
                !entry.doubtful && (bytes <= CALL_BYTES_MAX || bytes == entry.len())
            };
            self.under_way = rest.take(CALL_PIECES_MAX).take_while(fits).count();
            self.sequence += 1;
            let sent = self.entries.range(self.has..self.has + self.under_way);
            self.gathered -= sent.map(Entry::len).sum::<usize>();
        }
        let call = self.entries.range_mut(self.has..self.has + self.under_way);
        Next::Call(self.sequence, call.map(Entry::piece).collect())
    }

    /// The node has done the call.
    pub(crate) fn answered(&mut self, Written { ends, version }: &Written) {
        if self.has == 0 {
            self.version = *version;
        }
        let call = self.entries.range_mut(self.has..self.has + self.under_way);
        for (entry, end) in call.zip(ends) {
            entry.end = Some(*end);
        }
        self.has += self.under_way;
        self.under_way = 0;
    }

    /// Whether nothing is left to send after the call that is under way.
    pub(crate) fn is_last_call(&self) -> bool {
        self.has + self.under_way == self.entries.len()
    }

    /// What was to be [checked](Next::Check) is there, or is not.
    pub(crate) fn checked(&mut self, is_there: bool) {
        let Some(entry) = self.entries.get_mut(self.has) else {
            return;
        };
        entry.doubtful = false;
        if is_there {
            self.gathered -= entry.len();
            self.has += 1;
        }
    }

    /// The number to flush with, when there is nothing left to send.
    pub(crate) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    /// The node has made a version of what it has.
    pub(crate) fn flushed(&mut self) {
        for entry in self.entries.drain(..self.has) {
            self.bytes -= entry.len();
            self.base = entry.size_after(self.base);
        }
        self.has = 0;
    }

    /// The node's memory of the file is gone. What it had and had not flushed is to be sent once
    /// more, and numbered anew.
    pub(crate) fn lost(&mut self) {
        let mut size = self.base;
        let (known, sent) = (self.has, self.has + self.under_way);
        for (index, entry) in self.entries.iter_mut().enumerate() {
            if index >= known {
                entry.end = Some(entry.size_after(size));
            }
            size = entry.size_after(size);
            if index < sent {
                entry.doubtful = matches!(entry.what, What::Append(_));
                self.gathered += entry.len();
            }
        }
        (self.had, self.in_doubt) = (self.has, self.under_way);
        (self.has, self.under_way, self.sequence) = (0, 0, 0);
    }

    /// What to make of the file, which is open again with this version and size. What the node
    /// never had may go after whatever others did.
    pub(crate) fn reopened(&self, version: u64, size: u64) -> Reopened {
        if self.had == 0 || version == self.version {
            return Reopened::AsBefore;
        }
        if self.sizes().contains(&size) {
            Reopened::Compare(self.image())
        } else {
            Reopened::Changed
        }
    }

    /// What the node had, the file still has.
    pub(crate) fn kept(&mut self) {
        for entry in self.entries.range_mut(..self.had) {
            entry.doubtful = false;
            self.gathered -= entry.len();
        }
        self.has = self.had;
    }

    /// Sizes that the file may have with what the node had, and some of what was on its way.
    fn sizes(&self) -> Vec<u64> {
        let mut size = self.base;
        let sizes = self.entries.iter().take(self.had + self.in_doubt);
        let sizes = sizes.map(|entry| {
            size = entry.size_after(size);
            size
        });
        sizes.skip(self.had - 1).collect()
    }

    /// The bytes that the node had and that nothing after them has written over, or may have.
    fn image(&self) -> Vec<(u64, Bytes)> {
        let mut covered = Covered::default();
        let mut image = Vec::new();
        let sent = self.entries.range(..self.had + self.in_doubt);
        for (index, entry) in sent.enumerate().rev() {
            let touched = entry.touches();
            if let (true, Some(bytes)) = (index < self.had, entry.bytes()) {
                let part = |gap: Range<u64>| {
                    let from = |at| (at - touched.start) as usize;
                    (gap.start, bytes.slice(from(gap.start)..from(gap.end)))
                };
                image.extend(covered.gaps(&touched).into_iter().map(part));
            }
            covered.add(touched);
        }
        image
    }
}

impl Entry {
    fn len(&self) -> usize {
        match &self.what {
            What::Put(_, data) | What::Append(data) => data.len(),
            What::Truncate(_) => 0,
        }
    }

    fn join(&mut self, bytes: &Bytes) {
        // It was that of the shorter one.
        self.end = None;
        if let What::Put(_, data) | What::Append(data) = &mut self.what {
            data.join(bytes);
        }
    }

    fn piece(&mut self) -> Piece {
        match &mut self.what {
            What::Put(offset, data) => Piece::Put(*offset, data.whole()),
            What::Append(data) => Piece::Append(data.whole()),
            What::Truncate(size) => Piece::Truncate(*size),
        }
    }

    fn check(&self) -> Next {
        Next::Check(self.touches().start, self.bytes().unwrap_or_default())
    }

    fn bytes(&self) -> Option<Bytes> {
        match &self.what {
            What::Put(_, data) | What::Append(data) => Some(data.bytes()),
            What::Truncate(_) => None,
        }
    }

    /// Where the file is another with it.
    fn touches(&self) -> Range<u64> {
        let length = self.len() as u64;
        match self.what {
            What::Put(offset, _) => offset..offset + length,
            What::Append(_) => {
                let end = self.end.unwrap_or_default();
                end.saturating_sub(length)..end
            }
            What::Truncate(size) => size..u64::MAX,
        }
    }

    /// How large a file of this size is with it.
    fn size_after(&self, size: u64) -> u64 {
        let length = self.len() as u64;
        match &self.what {
            What::Put(offset, _) => size.max(offset + length),
            What::Append(_) => self.end.unwrap_or(size + length),
            What::Truncate(size) => *size,
        }
    }
}

impl Data {
    fn len(&self) -> usize {
        match self {
            Self::Whole(bytes) => bytes.len(),
            Self::Joined(bytes) => bytes.len(),
        }
    }

    fn bytes(&self) -> Bytes {
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Joined(bytes) => Bytes::copy_from_slice(bytes),
        }
    }

    fn join(&mut self, more: &Bytes) {
        if let Self::Whole(bytes) = self {
            let mut joined = BytesMut::with_capacity(2 * (bytes.len() + more.len()));
            joined.extend_from_slice(bytes);
            *self = Self::Joined(joined);
        }
        if let Self::Joined(bytes) = self {
            bytes.extend_from_slice(more);
        }
    }

    /// The bytes; they grow no more.
    fn whole(&mut self) -> Bytes {
        if let Self::Joined(bytes) = self {
            *self = Self::Whole(std::mem::take(bytes).freeze());
        }
        match self {
            Self::Whole(bytes) => bytes.clone(),
            Self::Joined(_) => Bytes::new(),
        }
    }
}
