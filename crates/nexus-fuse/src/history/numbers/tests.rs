use nexus_fs::Ino;
use nexus_kernel::Kind;

use super::{Door, INO_MAX, Node, STATE_MAX, ino_of};

#[test]
fn a_number_says_what_it_stands_for() {
    for ino in [1, 2, 1 << 40, (1 << 63) - 1] {
        assert_eq!(Node::of(Ino(ino)), Node::Present);
    }
    for door in [Door::Top, Door::Points] {
        assert_eq!(Node::of(door.ino()), Node::Door(door));
    }
    for state in [1, 2, STATE_MAX] {
        for ino in [Ino::ROOT, Ino(INO_MAX)] {
            let number = ino_of(state, ino).unwrap();
            assert_eq!(Node::of(number), Node::Past(state, ino));
        }
    }
    let beyond = ino_of(1, Ino(INO_MAX + 1)).unwrap_err();
    assert_eq!(beyond.kind(), Kind::LimitExceeded);
}
