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
                journal.answered(&ends);
            }
            Next::Check(offset, bytes) => {
                let there = self.draft.get(offset as usize..).unwrap_or_default();
                journal.checked(there.starts_with(&bytes));
            }
        }
        true
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
    journal.answered(&[3]);
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
        journal.answered(&[0]);
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
            journal.answered(&[end]);
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
