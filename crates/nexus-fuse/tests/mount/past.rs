//! Past states in a mount.

use std::fs::{self, File, OpenOptions};
use std::io::ErrorKind;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use nexus_fs::{At, LogQuery, NewSnapshot, RetentionLimits};
use nexus_fuse::{LocalVolume, Mount, Options, Volume};
use nexus_kernel::Revision;
use nexus_service_api::Context;
use rustix::fs::{XattrFlags, getxattr, setxattr};
use rustix::io::Errno;

use crate::support::{Mounted, code, errno, memory_stores, names, open, run, runtime};

const EROFS: i32 = Errno::ROFS.raw_os_error();

fn now(mounted: &Mounted) -> Revision {
    let session = mounted.session();
    mounted.block_on(session.revision()).unwrap()
}

/// Where a mount shows the state that it has now.
fn kept(mounted: &Mounted) -> PathBuf {
    mounted.path(&format!(".nexus/at/{}", now(mounted)))
}

/// A tree with some of everything in it.
fn plant(root: &Path) {
    fs::create_dir_all(root.join("dir/below")).unwrap();
    fs::write(root.join("dir/a"), "one").unwrap();
    fs::write(root.join("dir/below/large"), vec![7; 3 << 20]).unwrap();
    symlink("a", root.join("dir/link")).unwrap();
    for i in 0..300 {
        fs::write(root.join(format!("dir/below/{i}")), i.to_string()).unwrap();
    }
}

#[test]
fn tools_find_the_past_as_it_was() {
    let mounted = Mounted::in_memory();
    plant(mounted.root());
    let then = kept(&mounted);
    let outside = tempfile::tempdir().unwrap();
    let copy = outside.path().join("dir");
    let dir = mounted.path("dir");
    run(Command::new("cp").arg("-a").args([&dir, &copy]));
    fs::remove_dir_all(&dir).unwrap();
    fs::write(&dir, "something else").unwrap();

    let old = then.join("dir");
    run(Command::new("diff").arg("-r").args([&old, &copy]));
    assert_eq!(run(Command::new("cat").arg(old.join("link"))), "one");
    let long = run(Command::new("ls").arg("-l").arg(&old));
    assert!(long.contains("link -> a"), "{long}");
    let found = run(Command::new("find").arg(&old));
    assert_eq!(found.lines().count(), 1 + 3 + 301);
    let restored = mounted.path("restored");
    run(Command::new("cp").arg("-r").args([&old, &restored]));
    run(Command::new("diff").arg("-r").args([&restored, &copy]));
    let mut tree = Command::new("sh");
    tree.args(["-c", "cd dir/below && cd ../../.. && ls -a"]);
    assert_eq!(run(tree.current_dir(&then)), ".\n..\n");
}

/// Each inode is another one in another state, and one of the present's.
#[test]
fn a_file_of_the_past_is_a_file_of_its_own() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    let mut states = Vec::new();
    for content in ["one", "two", "three"] {
        fs::write(&path, content).unwrap();
        states.push((kept(&mounted), content));
    }
    fs::write(&path, "four").unwrap();
    let mut inos = vec![fs::metadata(&path).unwrap().ino()];
    for (state, content) in &states {
        let old = state.join("a");
        assert_eq!(fs::read_to_string(&old).unwrap(), *content);
        let stat = fs::metadata(&old).unwrap();
        assert_eq!(stat.len(), content.len() as u64);
        inos.push(stat.ino());
    }
    inos.sort_unstable();
    inos.dedup();
    assert_eq!(inos.len(), 4);
}

#[test]
fn the_way_to_the_past_is_there_and_not_listed() {
    let mounted = Mounted::in_memory();
    fs::write(mounted.path("a"), "").unwrap();
    assert_eq!(names(mounted.root()), ["a"]);
    assert_eq!(names(&mounted.path(".nexus")), ["at"]);
    assert!(names(&mounted.path(".nexus/at")).is_empty());
    assert!(mounted.path(".nexus/at/../../a").exists());
    for point in ["nonsense", "4294967296", "0", "9999w", "-1"] {
        let missing = fs::metadata(mounted.path(".nexus/at").join(point));
        assert_eq!(missing.unwrap_err().kind(), ErrorKind::NotFound, "{point}");
    }
    assert!(!mounted.path(".nexus/other").exists());
    let below = mounted.path("d");
    fs::create_dir(&below).unwrap();
    assert!(!below.join(".nexus").exists());
}

/// A time and an age name states too.
#[test]
fn a_point_is_written_in_many_ways() {
    let mounted = Mounted::in_memory();
    fs::write(mounted.path("a"), "one").unwrap();
    let revision = now(&mounted);
    let session = mounted.session();
    let log = mounted.block_on(session.log(LogQuery::default())).unwrap();
    let time = nexus_fs::time::format_rfc3339(log.records.last().unwrap().time);
    for point in [format!("r{revision}"), time, "latest".into(), "0s".into()] {
        let path = mounted.path(&format!(".nexus/at/{point}/a"));
        assert_eq!(fs::read_to_string(path).unwrap(), "one", "{point}");
    }
}

#[test]
fn the_past_refuses_every_change() {
    let mounted = Mounted::in_memory();
    plant(mounted.root());
    setxattr(mounted.path("dir/a"), "user.x", b"1", XattrFlags::empty()).unwrap();
    let then = kept(&mounted);
    let (file, dir, free) = (then.join("dir/a"), then.join("dir"), then.join("new"));
    let here = mounted.path("here");
    fs::write(&here, "").unwrap();
    let write = |path: &Path| OpenOptions::new().write(true).open(path);
    let outcomes = [
        errno(write(&file)),
        errno(OpenOptions::new().read(true).append(true).open(&file)),
        errno(File::create(&free)),
        errno(fs::create_dir(&free)),
        errno(symlink("a", &free)),
        errno(fs::remove_file(&file)),
        errno(fs::remove_dir(dir.join("below"))),
        errno(fs::rename(&file, &free)),
        errno(fs::rename(&file, mounted.path("moved"))),
        errno(fs::rename(&here, &free)),
        errno(fs::hard_link(&file, mounted.path("linked"))),
        errno(fs::hard_link(&here, &free)),
        errno(fs::set_permissions(
            &file,
            fs::metadata(&here).unwrap().permissions(),
        )),
        errno(std::os::unix::fs::chown(&file, Some(1), Some(1))),
        code(setxattr(&file, "user.x", b"2", XattrFlags::empty())),
        errno(fs::create_dir(mounted.path(".nexus/x"))),
        errno(fs::create_dir(mounted.path(".nexus/at/x"))),
        errno(fs::remove_dir(mounted.path(".nexus"))),
        errno(fs::rename(mounted.path(".nexus"), mounted.path("y"))),
    ];
    assert_eq!(outcomes, [EROFS; 19]);
    let mut value = [0; 4];
    assert_eq!(getxattr(&file, "user.x", &mut value[..]).unwrap(), 1);
    assert_eq!(fs::read_to_string(&file).unwrap(), "one");
}

/// An entry of the zone that has the name is hidden, and found in the past.
#[test]
fn the_name_is_taken() {
    let mounted = Mounted::in_memory();
    let session = mounted.session();
    let options = nexus_fs::WriteOptions {
        parents: true,
        ..Default::default()
    };
    let write = session.write("/.nexus/real", "hidden".into(), options);
    mounted.block_on(write).unwrap();
    assert!(names(mounted.root()).is_empty());
    assert_eq!(names(&mounted.path(".nexus")), ["at"]);
    let real = mounted.path(".nexus/at/latest/.nexus/real");
    assert_eq!(fs::read_to_string(real).unwrap(), "hidden");
    fs::write(mounted.path("a"), "").unwrap();
    assert_eq!(names(mounted.root()), ["a"]);
    let taken = Errno::EXIST.raw_os_error();
    let path = mounted.path(".nexus");
    assert_eq!(errno(fs::create_dir(&path)), taken);
    assert_eq!(errno(symlink("a", &path)), taken);
    assert!(fs::rename(mounted.path("a"), &path).is_err());
    assert!(fs::hard_link(mounted.path("a"), &path).is_err());
}

/// What is written now and read then is not mixed up by the pages that the kernel keeps.
#[test]
fn a_state_stands_still_while_the_present_moves() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    fs::write(&path, "one").unwrap();
    let old = kept(&mounted).join("a");
    assert_eq!(fs::read_to_string(&old).unwrap(), "one");
    for content in ["two", "three"] {
        fs::write(&path, content).unwrap();
        assert_eq!(fs::read_to_string(&old).unwrap(), "one");
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

/// When the kernel has forgotten what it knew of past states, they are found again.
#[test]
fn many_states_can_be_looked_at() {
    let mounted = Mounted::in_memory();
    let path = mounted.path("a");
    let first = now(&mounted).0;
    for i in 0..50 {
        fs::write(&path, i.to_string()).unwrap();
    }
    let last = now(&mounted).0;
    let mut seen = Vec::new();
    for revision in first..=last {
        let old = mounted.path(&format!(".nexus/at/{revision}/a"));
        if let Ok(content) = fs::read_to_string(old)
            && !content.is_empty()
        {
            seen.push(content.parse::<u32>().unwrap());
        }
    }
    seen.dedup();
    assert!(seen.into_iter().eq(0..50));
}

/// A past state by itself is read-only, and has no past inside.
#[test]
fn a_past_state_can_be_mounted() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = runtime();
    let zone = runtime.block_on(open(&memory_stores()));
    let session = zone.session(Context::system());
    let write = session.write("/a", "one".into(), Default::default());
    let at = At::Revision(runtime.block_on(write).unwrap().revision);
    let write = session.write("/a", "two".into(), Default::default());
    runtime.block_on(write).unwrap();
    let present = LocalVolume::new(session);
    let past: Arc<dyn Volume> = runtime.block_on(present.as_of(at)).unwrap();
    let mount = Mount::start(past, directory.path(), Options::default());
    let mount = runtime.block_on(mount).unwrap();
    let path = directory.path().join("a");
    assert_eq!(fs::read_to_string(&path).unwrap(), "one");
    assert_eq!(errno(fs::write(&path, "three")), EROFS);
    assert!(!directory.path().join(".nexus").exists());
    runtime.block_on(mount.unmount()).unwrap();
}

/// A snapshot is shown under its name; what retention has let go is not there.
#[test]
fn snapshots_are_shown_by_their_names_and_what_was_collected_is_not() {
    let mounted = Mounted::in_memory();
    let session = mounted.session();
    fs::create_dir(mounted.path("job")).unwrap();
    fs::write(mounted.path("job/f"), "one").unwrap();
    let new = NewSnapshot {
        name: Some("before it all".into()),
        ..NewSnapshot::default()
    };
    let made = mounted.block_on(session.create_snapshot("/job", new));
    assert!(made.unwrap().revision <= now(&mounted));
    fs::write(mounted.path("job/f"), "two").unwrap();
    let lost = kept(&mounted);
    fs::write(mounted.path("job/f"), "three").unwrap();
    let limits = RetentionLimits {
        max_age: None,
        max_versions: Some(1),
    };
    mounted
        .block_on(session.set_retention("/**", limits))
        .unwrap();
    let collected = mounted.block_on(session.compact(session.now(), false));
    assert!(collected.unwrap().versions > 0);

    let named = mounted.path(".nexus/at/before it all/job/f");
    assert_eq!(fs::read_to_string(named).unwrap(), "one");
    let gone = fs::read_to_string(lost.join("job/f")).unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    let unknown = fs::read_dir(mounted.path(".nexus/at/no such")).unwrap_err();
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}
