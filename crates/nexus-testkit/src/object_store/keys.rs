//! Which names are different blobs. Illegal names cannot become an `ObjectKey`; that is the
//! kernel's own test.

use super::{Store, assert_missing, key, names, put, read};

async fn put_each(store: &Store, all: &[&str]) {
    for name in all {
        put(store, name, name.to_string()).await;
    }
    for name in all {
        assert_eq!(read(store, name).await.unwrap(), name.as_bytes(), "{name}");
    }
}

pub async fn a_key_may_continue_another_key(store: Store) {
    put_each(&store, &["a/b/c", "a", "a/b", "a/b/c/d"]).await;
    store.delete(&key("a/b")).await.unwrap();
    assert_missing(&store, "a/b").await;
    assert_eq!(names(&store, "").await, ["a", "a/b/c", "a/b/c/d"]);
}

pub async fn long_segments_and_long_keys_work(store: Store) {
    let deep = ["d"; 256].join("/");
    let mut all: Vec<String> = [199, 200, 201, 255, 256, 400, 401, 512]
        .map(|length| "s".repeat(length))
        .into();
    all.extend(["-", "/", "/x", "0"].map(|rest| "s".repeat(200) + rest));
    all.extend([deep.clone(), "s".repeat(300) + "/" + &"t".repeat(211)]);
    put_each(
        &store,
        &all.iter()
            .map(String::as_str)
            .filter(legal)
            .collect::<Vec<_>>(),
    )
    .await;
    all.retain(|name| legal(&name.as_str()));
    all.sort();
    assert_eq!(names(&store, "").await, all);
    let prefix = "s".repeat(250);
    let long = all.iter().filter(|name| name.starts_with(&prefix));
    assert_eq!(
        names(&store, &prefix).await,
        long.cloned().collect::<Vec<_>>()
    );
}

pub async fn keys_differ_by_case_and_punctuation(store: Store) {
    put_each(
        &store,
        &["k", "K", "k.", "k-", "k_", "k=", "k.k", "-k", "_k", "=k"],
    )
    .await;
}

pub async fn hidden_looking_names_are_names(store: Store) {
    put_each(
        &store,
        &[
            ".k",
            "..k",
            "...",
            ".git/config",
            "tmp/x",
            "LOCK",
            "journal/1.log",
        ],
    )
    .await;
    assert_missing(&store, "config").await;
}

fn legal(name: &&str) -> bool {
    nexus_kernel::ObjectKey::new(*name).is_ok()
}
