use super::*;

/// A node's idea of a file: what it was sent and not flushed is lost with it.
#[derive(Default)]
struct Node {
    stored: Vec<u8>,
    draft: Vec<u8>,
}

impl Node {
    fn holding(stored: &[u8]) -> Self {
        Self {
            stored: stored.to_vec(),
            draft: stored.to_vec(),
        }
    }

    fn write(&mut self, piece: &Piece) -> u64 {
        match piece {
            Piece::Put(offset, bytes) => {
                let end = *offset as usize + bytes.len();
                self.draft.resize(self.draft.len().max(end), 0);
                self.draft[*offset as usize..end].copy_from_slice(bytes);
                end as u64
            }
            Piece::Append(bytes) => {
                self.draft.extend_from_slice(bytes);
                self.draft.len() as u64
            }
            Piece::Truncate(size) => {
                self.draft.resize(*size as usize, 0);
                *size
            }
        }
    }

    fn flush(&mut self) {
        self.stored = self.draft.clone();
    }

    fn lose(&mut self) {
        self.draft = self.stored.clone();
    }

    /// Does all that the journal wants.
    fn take(&mut self, journal: &mut Journal) {
        while self.step(journal) {}
    }

    fn step(&mut self, journal: &mut Journal) -> bool {
        match journal.next() {
            Next::Done => return false,
            Next::Call(_, pieces) => {
                let ends: Vec<u64> = pieces.iter().map(|piece| self.write(piece)).collect();
                journal.answered(&written(&ends));
            }
            Next::Check(offset, bytes) => {
                let there = self.draft.get(offset as usize..).unwrap_or_default();
                journal.checked(there.starts_with(&bytes));
            }
        }
        true
    }
}

/// The answer of a node that has not changed the file.
fn written(ends: &[u64]) -> Written {
    Written {
        ends: ends.to_vec(),
        version: 1,
    }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

#[test]
fn writes_that_touch_go_as_one() {
    let mut journal = Journal::new(0);
    journal.put(0, bytes("one "));
    journal.put(4, bytes("two"));
    journal.append(bytes(" three"));
    journal.append(bytes(" four"));
    let call = vec![
        Piece::Put(0, bytes("one two")),
        Piece::Append(bytes(" three four")),
    ];
    assert_eq!(journal.next(), Next::Call(1, call));
}

#[test]
fn a_call_is_the_same_until_it_is_answered() {
    let mut journal = Journal::new(0);
    journal.put(0, bytes("one"));
    let call = journal.next();
    journal.put(3, bytes("two"));
    assert_eq!(journal.next(), call);
    journal.answered(&written(&[3]));
    let next = vec![Piece::Put(3, bytes("two"))];
    assert_eq!(journal.next(), Next::Call(2, next));
}

#[test]
fn a_call_has_so_many_bytes_and_no_more() {
    let mut journal = Journal::new(0);
    let piece = Bytes::from(vec![7; 600 << 10]);
    for i in 0..3 {
        assert_eq!(journal.is_full(), i >= 2);
        journal.put(i * (1 << 20), piece.clone());
    }
    for sequence in 1..=3 {
        let Next::Call(number, pieces) = journal.next() else {
            panic!("there is more");
        };
        assert_eq!((number, pieces.len()), (sequence, 1));
        journal.answered(&written(&[0]));
    }
    assert_eq!(journal.next(), Next::Done);
    assert_eq!(journal.bytes(), 3 * (600 << 10));
    journal.flushed();
    assert!(journal.is_empty());
    assert_eq!(journal.bytes(), 0);
}

#[test]
fn what_a_node_lost_is_sent_again_once() {
    let mut node = Node::holding(b"start");
    let mut journal = Journal::new(5);
    journal.append(bytes(" a"));
    journal.put(0, bytes("S"));
    node.take(&mut journal);
    journal.append(bytes(" b"));
    // The call arrives, and its answer does not.
    let Next::Call(_, pieces) = journal.next() else {
        panic!("there is more");
    };
    node.write(&pieces[0]);
    node.lose();
    journal.lost();
    journal.append(bytes(" c"));
    node.take(&mut journal);
    assert_eq!(node.draft, b"Start a b c");
}

#[test]
fn what_a_node_kept_is_not_appended_again() {
    for answered in [false, true] {
        let mut node = Node::holding(b"start");
        let mut journal = Journal::new(5);
        journal.append(bytes(" a"));
        let Next::Call(_, pieces) = journal.next() else {
            panic!("there is more");
        };
        let end = node.write(&pieces[0]);
        if answered {
            journal.answered(&written(&[end]));
        }
        // As a node does that is stopped, and not killed.
        node.flush();
        node.lose();
        journal.lost();
        node.take(&mut journal);
        assert_eq!(node.draft, b"start a");
    }
}

#[test]
fn cuts_keep_their_place_among_writes() {
    let mut node = Node::holding(b"something long");
    let mut journal = Journal::new(14);
    journal.truncate(0);
    journal.append(bytes("abc"));
    node.take(&mut journal);
    journal.truncate(2);
    journal.append(bytes("d"));
    node.take(&mut journal);
    for flushed in [false, true] {
        if flushed {
            node.flush();
        }
        node.lose();
        journal.lost();
        node.take(&mut journal);
        assert_eq!(node.draft, b"abd");
    }
}

/// A journal whose entries the node had all, of a file that held ten bytes.
fn lost_after(write: impl Fn(&mut Journal)) -> Journal {
    let mut node = Node::holding(b"..........");
    let mut journal = Journal::new(10);
    write(&mut journal);
    node.take(&mut journal);
    journal.lost();
    journal
}

#[test]
fn a_file_of_the_same_version_is_sent_all_again() {
    let journal = lost_after(|journal| journal.put(0, bytes("one")));
    assert_eq!(journal.reopened(1, 10), Reopened::AsBefore);
}

#[test]
fn a_file_of_another_version_must_have_what_was_written_last_everywhere() {
    let journal = lost_after(|journal| {
        journal.put(0, bytes("AAAAAAAA"));
        journal.put(2, bytes("BB"));
        journal.truncate(6);
        journal.append(bytes("CC"));
    });
    let mut image = vec![
        (6, bytes("CC")),
        (2, bytes("BB")),
        (0, bytes("AA")),
        (4, bytes("AA")),
    ];
    let Reopened::Compare(mut found) = journal.reopened(2, 8) else {
        panic!("it may be as it was left");
    };
    image.sort();
    found.sort();
    assert_eq!(found, image);
    assert_eq!(journal.reopened(2, 9), Reopened::Changed);
}

#[test]
fn what_the_node_kept_is_not_sent_again_and_still_to_be_flushed() {
    let mut journal = lost_after(|journal| journal.append(bytes("one")));
    journal.kept();
    assert_eq!(journal.next(), Next::Done);
    assert!(!journal.is_empty());
    assert_eq!(journal.next_sequence(), 1);
    journal.flushed();
    assert!(journal.is_empty());
}

#[test]
fn what_was_on_its_way_may_be_there_or_not() {
    let mut node = Node::holding(b"..........");
    let mut journal = Journal::new(10);
    journal.put(0, bytes("AAAA"));
    node.take(&mut journal);
    journal.put(2, bytes("BB"));
    journal.append(bytes("CC"));
    journal.next();
    journal.lost();
    let image = vec![(0, bytes("AA"))];
    assert_eq!(journal.reopened(2, 10), Reopened::Compare(image.clone()));
    assert_eq!(journal.reopened(2, 12), Reopened::Compare(image));
    journal.kept();
    let again = vec![Piece::Put(2, bytes("BB"))];
    assert_eq!(journal.next(), Next::Call(1, again));
}

#[test]
fn an_append_that_grows_after_a_loss_ends_elsewhere() {
    let mut node = Node::holding(b"start");
    let mut journal = Journal::new(5);
    journal.append(bytes(" a"));
    journal.lost();
    journal.append(bytes(" b"));
    // Its answer is lost once more, together with the file.
    journal.next();
    node.draft.extend_from_slice(b" a b");
    node.flush();
    journal.lost();
    node.take(&mut journal);
    assert_eq!(node.draft, b"start a b");
}
