use super::branches;

#[test]
fn a_branch_knows_what_follows_it() {
    let drawn = branches(&[1, 2, 3, 2, 1, 2]);
    assert_eq!(
        drawn,
        [
            "├── ",
            "│   ├── ",
            "│   │   └── ",
            "│   └── ",
            "└── ",
            "    └── ",
        ]
    );
    assert_eq!(branches(&[]), Vec::<String>::new());
}
