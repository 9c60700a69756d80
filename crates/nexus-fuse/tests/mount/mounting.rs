use std::fs;
use std::sync::Arc;

use nexus_fuse::{LocalVolume, Mount, Options};
use nexus_kernel::Kind;
use nexus_service_api::Context;

use crate::support::{Mounted, memory_stores, names, open, runtime};

fn refused(at: &std::path::Path) -> nexus_kernel::Error {
    let runtime = runtime();
    let zone = runtime.block_on(open(&memory_stores()));
    let session = zone.session(Context::system());
    let mount = runtime.block_on(Mount::start(
        Arc::new(LocalVolume::new(session)),
        at,
        Options::default(),
    ));
    mount.err().expect("an error")
}

#[test]
fn a_place_that_is_none_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    for at in [
        folder.path().to_owned(),
        folder.path().join("file"),
        folder.path().join("missing"),
    ] {
        assert_eq!(
            refused(&at).kind(),
            Kind::InvalidArgument,
            "{}",
            at.display()
        );
    }
}

#[test]
fn a_second_mount_at_the_same_place_is_refused() {
    let mounted = Mounted::in_memory();
    assert_eq!(refused(mounted.root()).kind(), Kind::InvalidArgument);
    fs::write(mounted.path("a"), "still served").unwrap();
    assert_eq!(names(mounted.root()), ["a"]);
}

#[test]
fn somebody_else_may_unmount() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let zone = runtime.block_on(open(&memory_stores()));
    let session = zone.session(Context::system());
    let start = Mount::start(
        Arc::new(LocalVolume::new(session)),
        folder.path(),
        Options::default(),
    );
    let mut mount = runtime.block_on(start).unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    rustix::mount::unmount(folder.path(), rustix::mount::UnmountFlags::empty()).unwrap();
    runtime.block_on(mount.ended());
    runtime.block_on(mount.unmount()).unwrap();
    let content = zone.session(Context::system());
    let content = runtime.block_on(content.read("/a", nexus_fs::At::Latest));
    assert_eq!(content.unwrap().bytes, "a");
}

/// What a program that does not let go has written is not lost, and nothing hangs.
#[test]
fn a_mount_in_use_is_unmounted_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let zone = runtime.block_on(open(&memory_stores()));
    let session = zone.session(Context::system());
    let mut options = Options::default();
    options.unmount_deadline = std::time::Duration::from_millis(200);
    let mount = runtime
        .block_on(Mount::start(
            Arc::new(LocalVolume::new(session)),
            folder.path(),
            options,
        ))
        .unwrap();
    let mut file = fs::File::create(folder.path().join("a")).unwrap();
    std::io::Write::write_all(&mut file, b"written").unwrap();
    runtime.block_on(mount.unmount()).unwrap();
    assert!(names(folder.path()).is_empty());
    let session = zone.session(Context::system());
    let content = runtime.block_on(session.read("/a", nexus_fs::At::Latest));
    assert_eq!(content.unwrap().bytes, "written");
}
