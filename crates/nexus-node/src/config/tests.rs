use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nexus_fs::HashAlgorithm;
use nexus_kernel::Kind;

use super::settings::ALL;
use super::show::mask;
use super::{Config, LogFormat, MountConfig, RawConfig, Sources, StoreUri};

/// What a layer gives: name (or variable) and value.
type Layer<'a> = &'a [(&'a str, &'a str)];

fn load(
    file: Option<&str>,
    environment: Layer<'_>,
    flags: Layer<'_>,
) -> nexus_kernel::Result<RawConfig> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.toml");
    let file = file.map(|text| {
        fs::write(&path, text).unwrap();
        path.clone()
    });
    let own = |text: &str| text.to_owned();
    let environment = environment
        .iter()
        .map(|(name, value)| (own(name), own(value)))
        .collect();
    let flags = flags
        .iter()
        .map(|(name, value)| (own(name), own(value), format!("--{name}")));
    RawConfig::load(Sources {
        file,
        environment,
        flags: flags.collect(),
    })
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = Some("listen = '127.0.0.1:1'");
    let env: Layer<'_> = &[("NEXUS_LISTEN", "127.0.0.1:2")];
    let flag: Layer<'_> = &[("listen", "127.0.0.1:3")];
    let table = [
        (None, &[] as Layer<'_>, &[] as Layer<'_>, 2026, "default"),
        (file, &[], &[], 1, "node.toml"),
        (None, env, &[], 2, "NEXUS_LISTEN"),
        (file, env, &[], 2, "NEXUS_LISTEN"),
        (file, &[], flag, 3, "--listen"),
        (file, env, flag, 3, "--listen"),
    ];
    for (file, env, flags, port, source) in table {
        let raw = load(file, env, flags).unwrap();
        assert_eq!(Config::new(&raw).unwrap().listen.port(), port);
        let shown = raw.to_json();
        let listen = shown
            .as_array()
            .unwrap()
            .iter()
            .find(|row| row["name"] == "listen")
            .unwrap();
        let by = listen["source"].as_str().unwrap();
        assert!(by.ends_with(source), "{by} is not {source}");
    }
}

#[test]
fn layers_override_setting_by_setting() {
    let raw = load(
        Some("data = '/a'\nlog.level = 'warn'\n[memory]\ncontent = '1MiB'"),
        &[
            ("NEXUS_DATA", "/b"),
            ("NEXUS_MEMORY_METADATA", "2MiB"),
            ("HOME", "/root"),
        ],
        &[("shutdown.deadline", "250ms")],
    );
    let config = Config::new(&raw.unwrap()).unwrap();
    assert_eq!(config.data, Path::new("/b"));
    assert_eq!(config.memory.content_bytes, 1 << 20);
    assert_eq!(config.memory.metadata_bytes, 2 << 20);
    assert_eq!(config.memory.metastore_bytes, 32 << 20);
    assert_eq!(config.shutdown_deadline, Duration::from_millis(250));
    assert_eq!(config.log.levels.to_string(), "warn");
}

#[test]
fn defaults_are_an_embedded_node_on_loopback() {
    let config = Config::with([]).unwrap();
    assert_eq!(config.data, Path::new("./nexus-data"));
    assert_eq!(config.listen.to_string(), "127.0.0.1:2026");
    assert_eq!(config.stores.metastore.scheme(), "redb");
    assert_eq!(config.stores.objects.scheme(), "local");
    assert_eq!(config.content.hash, HashAlgorithm::Blake3);
    assert_eq!(config.content.inline_bytes_max, 8 << 10);
    assert_eq!(config.handles.draft_bytes_max, 64 << 20);
    assert_eq!(config.handles.draft_age_max, Duration::from_secs(30));
    assert_eq!(config.feeds_max, 10_000);
    assert_eq!(config.retention_every, Duration::from_secs(600));
    assert_eq!(config.log.format, LogFormat::Auto);
}

#[test]
fn numbers_and_booleans_of_a_file_need_no_quotes() {
    let raw = load(
        Some("allow_remote = true\nlisten = '0.0.0.0:80'\n[content]\ninline_max = 4096"),
        &[],
        &[],
    );
    let config = Config::new(&raw.unwrap()).unwrap();
    assert_eq!(config.content.inline_bytes_max, 4096);
    assert_eq!(config.listen.to_string(), "0.0.0.0:80");
}

#[test]
fn unknown_names_are_errors_wherever_they_come_from() {
    let none: Layer<'_> = &[];
    let attempts = [
        load(Some("listn = 'x'"), none, none),
        load(Some("[log]\nlevle = 'info'"), none, none),
        load(Some("[listen]\nport = 1"), none, none),
        load(None, &[("NEXUS_LISTN", "x")], none),
        load(None, none, &[("listn", "x")]),
    ];
    for attempt in attempts {
        let refused = attempt.unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument);
        assert!(refused.message().contains("no such setting"), "{refused}");
        assert!(refused.fact("setting").is_some() && refused.fact("from").is_some());
    }
}

#[test]
fn variables_meant_for_others_are_left_alone() {
    let others: Layer<'_> = &[
        ("NEXUS_URL", "http://x"),
        ("NEXUS_API_KEY", "sk-x"),
        ("NEXUS_KEY_FILE", "key"),
        ("NEXUS_SESSION", "run-7"),
        ("NEXUS_CONFIG", "node.toml"),
        ("NEXUS_SERVICE_HOST", "10.0.0.1"),
        ("NEXUS_PORT", "tcp://10.0.0.1:2026"),
        ("NEXUS_PORT_2026_TCP_ADDR", "10.0.0.1"),
        ("SONATYPE_NEXUS", "x"),
    ];
    assert!(load(None, others, &[]).is_ok());
}

#[test]
fn a_mount_is_as_the_settings_say_wherever_its_directory_comes_from() {
    let environment: Layer<'_> = &[("NEXUS_MOUNT_AS", "agent:alice")];
    let mut raw = load(Some("mount.read_only = true"), environment, &[]).unwrap();
    assert!(Config::new(&raw).unwrap().mount.is_none());
    let given = MountConfig::new(&raw, "/mnt".into()).unwrap();
    raw.set("mount.directory", "/mnt", "the test").unwrap();
    let set = Config::new(&raw).unwrap().mount.unwrap();
    for mount in [given, set] {
        assert_eq!(mount.directory.as_os_str(), "/mnt");
        assert!(mount.read_only && !mount.write_cache);
        assert_eq!(mount.on_behalf_of.as_deref(), Some("agent:alice"));
    }
}

#[test]
fn a_file_that_is_not_toml_is_refused_with_its_line() {
    let refused = load(Some("data = '/a'\nlisten = \n"), &[], &[]).unwrap_err();
    assert_eq!(refused.kind(), Kind::InvalidArgument);
    assert_eq!(refused.fact("line"), Some("2"));
    for odd in ["listen = ['a', 'b']", "data = 2026-01-31"] {
        assert_eq!(
            load(Some(odd), &[], &[]).unwrap_err().kind(),
            Kind::InvalidArgument
        );
    }
}

#[test]
fn a_file_that_is_not_there_is_refused() {
    let sources = Sources {
        file: Some(PathBuf::from("/nowhere/node.toml")),
        ..Sources::default()
    };
    let refused = RawConfig::load(sources).unwrap_err();
    assert_eq!(refused.kind(), Kind::NotFound);
    assert_eq!(refused.fact("file"), Some("/nowhere/node.toml"));
}

/// `values` of a setting are all refused, naming setting, value and source.
fn refused(name: &str, values: &[&str]) {
    for value in values {
        let refused = Config::with([(name, *value)]).unwrap_err();
        assert_eq!(refused.kind(), Kind::InvalidArgument, "{name} = {value}");
        assert_eq!(refused.fact("setting"), Some(name));
        assert_eq!(refused.fact("value"), Some(*value));
        assert_eq!(refused.fact("from"), Some("the program"));
    }
}

#[test]
fn values_without_meaning_are_refused() {
    refused("data", &[""]);
    refused(
        "listen",
        &[
            "",
            "2026",
            ":2026",
            "127.0.0.1",
            "localhost",
            "127.0.0.1:99999",
            "example.org:80",
        ],
    );
    refused("allow_remote", &["", "maybe", "TRUE"]);
    refused("metastore", &["", "redb", "./nexus-data", ":x", "RE DB:x"]);
    refused(
        "memory.content",
        &["", "big", "-1", "1.5MiB", "64MB", "MiB", "99999999999GiB"],
    );
    refused("content.hash", &["", "md5", "BLAKE3"]);
    refused("content.inline_max", &["65KiB", "1GiB"]);
    refused(
        "log.level",
        &["", "loud", "debgu", "info,", "nexus_fs=", "nexus_fs=loud"],
    );
    refused("log.format", &["", "xml"]);
    refused("handles.draft_max", &["", "0", "1023KiB", "plenty"]);
    refused("feeds.max", &["", "0", "-1", "1.5", "many"]);
    refused("handles.draft_age_max", &["", "30", "0s", "999ms"]);
    refused(
        "retention.every",
        &[
            "", "0s", "500ms", "60", "-1s", "1.5h", "25h", "86401s", "1d", "never",
        ],
    );
    refused("shutdown.deadline", &["", "10", "s", "-1s", "1h", "1.5s"]);
}

#[test]
fn sizes_times_and_levels_are_read() {
    let config = Config::with([
        ("memory.content", "0"),
        ("memory.metadata", "1GiB"),
        ("memory.metastore", "7 KiB"),
        ("content.inline_max", "64KiB"),
        ("content.hash", "sha256"),
        ("handles.draft_max", "1MiB"),
        ("handles.draft_age_max", "5m"),
        ("retention.every", "24h"),
        ("shutdown.deadline", "2m"),
        ("log.level", "warn,nexus_fs=debug"),
        ("log.format", "json"),
        ("listen", "localhost:0"),
    ]);
    let config = config.unwrap();
    assert_eq!(config.memory.content_bytes, 0);
    assert_eq!(config.memory.metadata_bytes, 1 << 30);
    assert_eq!(config.memory.metastore_bytes, 7 << 10);
    assert_eq!(config.content.inline_bytes_max, 64 << 10);
    assert_eq!(config.content.hash, HashAlgorithm::Sha256);
    assert_eq!(config.handles.draft_bytes_max, 1 << 20);
    assert_eq!(config.handles.draft_age_max, Duration::from_secs(300));
    assert_eq!(config.retention_every, Duration::from_secs(86_400));
    assert_eq!(config.shutdown_deadline, Duration::from_secs(120));
    assert_eq!(config.log.format, LogFormat::Json);
    assert_eq!(config.listen.to_string(), "127.0.0.1:0");
}

#[test]
fn an_address_others_can_reach_takes_a_decision() {
    for (listen, fine) in [
        ("127.0.0.1:1", true),
        ("127.9.9.9:1", true),
        ("[::1]:1", true),
        ("0.0.0.0:1", false),
        ("[::]:1", false),
        ("192.168.1.5:1", false),
    ] {
        let config = Config::with([("listen", listen)]);
        assert_eq!(config.is_ok(), fine, "{listen}");
        if let Err(error) = config {
            assert!(error.message().contains("--allow-remote"), "{error}");
        }
        assert!(Config::with([("listen", listen), ("allow_remote", "true")]).is_ok());
    }
}

#[test]
fn a_store_is_a_scheme_and_a_place() {
    for (text, scheme, path) in [
        ("redb:", "redb", "/default"),
        ("redb:./data", "redb", "./data"),
        ("redb:/srv/meta", "redb", "/srv/meta"),
        ("redb:///srv/meta", "redb", "/srv/meta"),
        ("redb://", "redb", "/default"),
        ("local:a:b", "local", "a:b"),
        ("memory:", "memory", "/default"),
    ] {
        let uri: StoreUri = text.parse().unwrap();
        assert_eq!(uri.scheme(), scheme, "{text}");
        assert_eq!(
            uri.path_or(Path::new("/default")),
            Path::new(path),
            "{text}"
        );
        assert_eq!(uri.to_string(), text);
    }
}

#[test]
fn what_is_shown_is_a_file_that_means_the_same() {
    let raw = load(
        None,
        &[("NEXUS_LOG_LEVEL", "debug")],
        &[("data", "/a \"b\"\\c\nd")],
    )
    .unwrap();
    let shown = raw.to_toml();
    let again = load(Some(&shown), &[], &[]).unwrap();
    for setting in ALL {
        assert_eq!(
            again.text(setting).0,
            raw.text(setting).0,
            "{}",
            setting.name
        );
        assert!(shown.contains(setting.doc));
    }
    assert!(shown.contains("NEXUS_LOG_LEVEL; from: NEXUS_LOG_LEVEL"));
}

#[test]
fn every_setting_is_documented_and_has_its_own_variable() {
    let mut variables: Vec<String> = ALL.iter().map(|setting| setting.variable()).collect();
    variables.sort();
    variables.dedup();
    assert_eq!(variables.len(), ALL.len());
    for setting in ALL {
        assert!(
            setting.doc.len() > 20 && setting.doc.ends_with('.'),
            "{}",
            setting.name
        );
    }
}

#[test]
fn passwords_are_never_shown() {
    for (text, shown) in [
        ("s3://id:secret@host/bucket", "s3://id:***@host/bucket"),
        ("s3://id:se@cret@host/bucket", "s3://id:***@host/bucket"),
        ("postgresql://user@host/db", "postgresql://user@host/db"),
        ("redb:/a:b@c", "redb:/a:b@c"),
        ("http://host:80/", "http://host:80/"),
    ] {
        assert_eq!(mask(text), shown);
    }
    let raw = load(None, &[], &[("object_store", "s3://id:secret@host/bucket")]).unwrap();
    assert!(!raw.to_toml().contains("secret@"));
    assert!(!raw.to_json().to_string().contains("secret@"));
    let uri: StoreUri = "s3://id:secret@host/bucket".parse().unwrap();
    assert!(!uri.to_string().contains("secret@"));
}
