use nexus_fs::Ino;

use super::{Door, INO_MAX, Node, STATE_MAX, in_part, ino_of, part_of};

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
            assert_eq!(Node::of(ino_of(state, ino)), Node::Past(state, ino));
            for part in [0, 1, STATE_MAX] {
                let whole = in_part(part, ino);
                assert_eq!(part_of(whole), part);
                assert_eq!(Node::of(ino_of(state, whole)), Node::Past(state, ino));
            }
        }
    }
}
