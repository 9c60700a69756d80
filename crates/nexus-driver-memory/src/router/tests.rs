use nexus_kernel::{Kind, Mount, VfsRouter};

use super::MemoryRouter;

fn mount(point: &str) -> Mount {
    Mount {
        point: point.into(),
        target: format!("zone-of-{point}"),
        read_only: false,
    }
}

fn router(points: &[&str]) -> MemoryRouter {
    let router = MemoryRouter::new();
    for point in points {
        router.add(mount(point)).unwrap();
    }
    router
}

#[track_caller]
fn check(router: &MemoryRouter, path: &str, point: &str, rest: &str) {
    let routed = router.resolve(path).unwrap();
    let got = (routed.mount.point.as_str(), routed.rest.as_str());
    assert_eq!(got, (point, rest), "{path}");
}

#[test]
fn the_longest_mount_point_wins() {
    let router = router(&["/", "/a", "/a/b"]);
    check(&router, "/a/b/c", "/a/b", "/c");
    check(&router, "/a/c", "/a", "/c");
    check(&router, "/c", "/", "/c");
}

#[test]
fn a_mount_point_itself_is_the_root_of_its_mount() {
    let router = router(&["/", "/a"]);
    check(&router, "/a", "/a", "/");
    check(&router, "/", "/", "/");
}

#[test]
fn components_are_compared_whole() {
    let router = router(&["/", "/a"]);
    check(&router, "/ab", "/", "/ab");
    check(&router, "/ab/c", "/", "/ab/c");
}

#[test]
fn a_path_outside_every_mount_is_not_found() {
    let router = router(&["/a"]);
    for path in ["/", "/b", "/ab"] {
        assert_eq!(
            router.resolve(path).unwrap_err().kind(),
            Kind::NotFound,
            "{path}"
        );
    }
}

#[test]
fn a_taken_mount_point_is_refused() {
    let router = router(&["/a"]);
    let refused = router.add(mount("/a")).unwrap_err();
    assert_eq!(refused.kind(), Kind::AlreadyExists);
}

#[test]
fn a_removed_mount_serves_nothing_and_its_parent_takes_over() {
    let router = router(&["/", "/a"]);
    assert_eq!(router.remove("/a").unwrap(), mount("/a"));
    check(&router, "/a/b", "/", "/a/b");
    assert_eq!(router.remove("/a").unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn mounts_are_listed_by_mount_point() {
    let router = router(&["/b", "/", "/a/c"]);
    let points: Vec<_> = router.list().into_iter().map(|m| m.point).collect();
    assert_eq!(points, ["/", "/a/c", "/b"]);
}

#[test]
fn relative_and_unnormalised_paths_are_refused() {
    let router = router(&["/"]);
    for path in [
        "", "a", "a/b", "/a/", "//", "/a//b", "/./a", "/a/..", "/a\0b",
    ] {
        let kinds = [
            router.resolve(path).unwrap_err().kind(),
            router.add(mount(path)).unwrap_err().kind(),
            router.remove(path).unwrap_err().kind(),
        ];
        assert_eq!(kinds, [Kind::InvalidArgument; 3], "{path:?}");
    }
}
