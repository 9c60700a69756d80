use nexus_kernel::Kind;

use super::{Feature, Known, Pillar, check, explain, needs_data_folder};
use crate::config::Config;

fn with(setting: &str, uri: &str) -> Config {
    Config::with([
        ("metastore", "memory:"),
        ("object_store", "memory:"),
        (setting, uri),
    ])
    .unwrap()
}

#[test]
fn the_default_drivers_are_in_the_default_build() {
    check(&Config::with([]).unwrap()).unwrap();
}

#[test]
fn a_driver_to_come_says_so_and_what_there_is_instead() {
    for (setting, uri) in [
        ("object_store", "s3://bucket"),
        ("object_store", "gs://bucket"),
        ("metastore", "raft:"),
        ("metastore", "postgresql://host/db"),
    ] {
        let refused = check(&with(setting, uri)).unwrap_err();
        assert_eq!(refused.kind(), Kind::Unsupported);
        assert_eq!(refused.fact("as"), Some(setting));
        assert!(
            refused.fact("available").unwrap().contains("memory"),
            "{refused}"
        );
    }
}

#[test]
fn an_unknown_or_misplaced_driver_is_refused() {
    for (setting, uri) in [
        ("object_store", "ftp://host"),
        ("metastore", "rebd:x"),
        ("metastore", "local:x"),
        ("object_store", "redb:x"),
    ] {
        let refused = check(&with(setting, uri)).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument, "{uri}");
        assert!(
            refused.fact("available").unwrap().contains("memory"),
            "{refused}"
        );
    }
}

#[test]
fn a_refusal_shows_no_password() {
    let refused = check(&with("object_store", "s3://id:hunter2@host/bucket")).unwrap_err();
    assert!(!refused.to_string().contains("hunter2"));
}

#[test]
fn only_a_node_in_memory_needs_no_folder() {
    assert!(!needs_data_folder(&with("metastore", "memory:")));
    assert!(needs_data_folder(&with("metastore", "redb:/x")));
    assert!(needs_data_folder(&with("object_store", "local:/x")));
}

#[test]
fn a_driver_left_out_of_the_build_names_its_feature() {
    let left_out = Known {
        scheme: "tape",
        pillars: &[Pillar::Objects],
        feature: Some(Feature {
            name: "driver-tape",
            built: false,
        }),
    };
    let refused = explain(Some(&left_out));
    assert_eq!(refused.kind(), Kind::Unsupported);
    assert!(
        refused.message().contains("--features driver-tape"),
        "{refused}"
    );
}
