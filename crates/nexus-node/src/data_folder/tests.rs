use std::fs;
use std::os::unix::fs::PermissionsExt;

use nexus_kernel::Kind;

use super::{DataFolder, FORMAT_DRAFT, FORMAT_FILE, LOCK_FILE};

#[test]
fn a_new_folder_is_private_and_marked() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("deep/nexus-data");
    let folder = DataFolder::open(&path).unwrap();
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let format = fs::read_to_string(folder.path().join(FORMAT_FILE)).unwrap();
    assert_eq!(format, "nexus data folder, format 1\n");
}

#[test]
fn a_folder_can_be_taken_again_once_let_go() {
    let root = tempfile::tempdir().unwrap();
    drop(DataFolder::open(root.path()).unwrap());
    fs::write(root.path().join("metastore.redb"), "data").unwrap();
    DataFolder::open(root.path()).unwrap();
}

#[test]
fn a_folder_in_use_names_its_holder() {
    let root = tempfile::tempdir().unwrap();
    let _held = DataFolder::open(root.path()).unwrap();
    for _ in 0..2 {
        let refused = DataFolder::open(root.path()).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unavailable);
        assert_eq!(
            refused.fact("process id"),
            Some(std::process::id().to_string().as_str())
        );
    }
}

#[test]
fn a_lock_left_behind_by_a_crash_is_taken_over() {
    let root = tempfile::tempdir().unwrap();
    drop(DataFolder::open(root.path()).unwrap());
    fs::write(root.path().join(LOCK_FILE), "4294967295\n").unwrap();
    let folder = DataFolder::open(root.path()).unwrap();
    let holder = fs::read_to_string(folder.path().join(LOCK_FILE)).unwrap();
    assert_eq!(holder.trim(), std::process::id().to_string());
}

#[test]
fn a_newer_format_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    let format = root.path().join(FORMAT_FILE);
    fs::write(&format, "nexus data folder, format 2\n").unwrap();
    let refused = DataFolder::open(root.path()).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert_eq!(
        (refused.fact("format"), refused.fact("supported")),
        (Some("2"), Some("1"))
    );
    assert_eq!(
        fs::read_to_string(&format).unwrap(),
        "nexus data folder, format 2\n"
    );
}

#[test]
fn an_unreadable_format_is_refused() {
    for bytes in [
        &b""[..],
        b"\xFF\xFE",
        b"nexus data folder, format x",
        b"something else",
    ] {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join(FORMAT_FILE), bytes).unwrap();
        assert_eq!(
            DataFolder::open(root.path()).unwrap_err().kind(),
            Kind::Corrupt
        );
    }
}

#[test]
fn a_crash_during_creation_does_no_harm() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join(LOCK_FILE), "17").unwrap();
    fs::write(root.path().join(FORMAT_DRAFT), "nexus da").unwrap();
    let folder = DataFolder::open(root.path()).unwrap();
    assert!(folder.path().join(FORMAT_FILE).exists());
    assert!(!folder.path().join(FORMAT_DRAFT).exists());
}

#[test]
fn a_folder_with_other_files_is_left_alone() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("thesis.tex"), "years of work").unwrap();
    let refused = DataFolder::open(root.path()).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    assert_eq!(refused.fact("found"), Some("thesis.tex"));
    assert_eq!(fs::read_dir(root.path()).unwrap().count(), 1);
}

#[test]
fn a_file_in_place_of_the_folder_is_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    let refused = DataFolder::open(&path).unwrap_err();
    assert_eq!(refused.kind(), Kind::Unavailable);
    assert!(refused.fact("cause").is_some());
}

#[test]
fn a_folder_that_others_can_write_to_is_refused_and_left_alone() {
    let root = tempfile::tempdir().unwrap();
    for mode in [0o720, 0o702, 0o777] {
        fs::set_permissions(root.path(), fs::Permissions::from_mode(mode)).unwrap();
        let refused = DataFolder::open(root.path()).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
        assert_eq!(refused.fact("mode"), Some(format!("{mode:o}").as_str()));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }
    fs::set_permissions(root.path(), fs::Permissions::from_mode(0o755)).unwrap();
    DataFolder::open(root.path()).unwrap();
}
