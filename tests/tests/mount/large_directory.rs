//! A directory of many thousand entries is listed whole, each name once, found in by name, and
//! removed.

use std::collections::HashSet;
use std::fs;

use nexus_tests::{Home, run, sh};

const ENTRIES: usize = 20_000;

#[test]
fn a_directory_of_20_000_entries_is_listed_whole() {
    let home = Home::new();
    let mounted = home.mount();
    let directory = mounted.path("many");
    fs::create_dir(&directory).expect("it is free");
    for n in 0..ENTRIES {
        let file = fs::File::create(directory.join(format!("entry-{n}")));
        file.expect("it is free");
    }
    let listed = || {
        let entries = fs::read_dir(&directory).expect("it is there");
        let names = entries.map(|entry| entry.expect("it is there").file_name());
        names.collect::<Vec<_>>()
    };
    let names = listed();
    assert_eq!(names.len(), ENTRIES);
    assert_eq!(names.iter().collect::<HashSet<_>>().len(), ENTRIES);
    assert_eq!(
        sh(&directory, "find . -type f | wc -l").trim(),
        ENTRIES.to_string()
    );
    mounted.unmount();

    // With nothing in memory, of the node or of the kernel.
    let mounted = home.mount();
    assert_eq!(listed(), names);
    let metadata = fs::metadata(directory.join("entry-12345"));
    assert_eq!(metadata.expect("it is there").len(), 0);
    run(std::process::Command::new("rm").arg("-r").arg(&directory));
    assert!(!directory.exists());
    mounted.unmount();
}
