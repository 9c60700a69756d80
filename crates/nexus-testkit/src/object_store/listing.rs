//! What `list` visits, and in which order.

use nexus_kernel::ObjectPage;

use super::{OVERWRITE, RELAXED, Store, body, key, names, pattern, put};

/// In key order, which is that of the whole names as bytes: `-` and `.` come before `/`.
const TREE: [&str; 11] = [
    "a", "a-b", "a.b", "a/b", "a/b-c", "a/b/c", "a/c", "a0", "ab/c", "b", "b/a",
];

async fn plant(store: &Store) {
    for name in TREE.iter().rev() {
        put(store, name, name.to_string()).await;
    }
}

async fn page(store: &Store, prefix: &str, after: Option<&str>, limit: usize) -> ObjectPage {
    let after = after.map(key);
    let page = store.list(prefix, after.as_ref(), limit).await;
    page.expect("a list succeeds")
}

fn listed(page: &ObjectPage) -> Vec<&str> {
    page.objects.iter().map(|meta| meta.key.as_str()).collect()
}

pub async fn a_list_is_in_key_order(store: Store) {
    plant(&store).await;
    assert_eq!(names(&store, "").await, TREE);
}

pub async fn a_list_keeps_to_its_prefix(store: Store) {
    plant(&store).await;
    assert_eq!(names(&store, "a/").await, ["a/b", "a/b-c", "a/b/c", "a/c"]);
    assert_eq!(names(&store, "a/b/").await, ["a/b/c"]);
    assert_eq!(names(&store, "b").await, ["b", "b/a"]);
    for prefix in ["c", "/", "a//", "b/a/", "../", "A", "a/b/c/d"] {
        assert!(
            names(&store, prefix).await.is_empty(),
            "{prefix} is no prefix of a key"
        );
    }
}

pub async fn a_prefix_may_end_inside_a_segment(store: Store) {
    plant(&store).await;
    assert_eq!(names(&store, "a/b").await, ["a/b", "a/b-c", "a/b/c"]);
    put(&store, "long/segment/x", "").await;
    assert_eq!(names(&store, "long/seg").await, ["long/segment/x"]);
    assert_eq!(names(&store, "lo").await, ["long/segment/x"]);
}

pub async fn a_list_goes_on_after_a_key(store: Store) {
    plant(&store).await;
    for (at, name) in TREE.iter().enumerate() {
        let rest = page(&store, "", Some(name), 100).await;
        assert_eq!(listed(&rest), TREE[at + 1..], "after {name}");
    }
    let absent = page(&store, "", Some("a/b/bb"), 2).await;
    assert_eq!(listed(&absent), ["a/b/c", "a/c"]);
    let before_prefix = page(&store, "b", Some("a"), 9).await;
    assert_eq!(listed(&before_prefix), ["b", "b/a"]);
    let beyond_prefix = page(&store, "a/", Some("b"), 9).await;
    assert!(listed(&beyond_prefix).is_empty() && !beyond_prefix.more);
}

pub async fn pages_visit_every_blob_once(store: Store) {
    plant(&store).await;
    for limit in 1..=TREE.len() {
        let mut visited: Vec<String> = Vec::new();
        loop {
            let page = page(&store, "", visited.last().map(String::as_str), limit).await;
            assert!(page.objects.len() <= limit);
            visited.extend(listed(&page).into_iter().map(String::from));
            if !page.more {
                break;
            }
            assert_eq!(page.objects.len(), limit, "a page before the last is full");
        }
        assert_eq!(visited, TREE);
    }
}

pub async fn a_full_page_without_a_successor_is_the_last(store: Store) {
    plant(&store).await;
    assert!(!page(&store, "", None, TREE.len()).await.more);
    assert!(!page(&store, "a/", None, 4).await.more);
    assert!(page(&store, "a/", None, 3).await.more);
}

pub async fn an_empty_store_lists_nothing(store: Store) {
    assert!(names(&store, "").await.is_empty());
    assert!(names(&store, "a/b").await.is_empty());
}

pub async fn a_list_tells_size_and_time(store: Store) {
    put(&store, "small", "12345").await;
    put(&store, "large", pattern(1, 3 << 20)).await;
    for meta in page(&store, "", None, 10).await.objects {
        assert_eq!(store.head(&meta.key).await.unwrap(), meta);
    }
}

pub async fn a_list_sees_puts_and_deletes_at_once(store: Store) {
    let mut expected = Vec::new();
    for at in 0..50 {
        let name = format!("n/{at:02}");
        let options = if at % 2 == 0 { OVERWRITE } else { RELAXED };
        store.put(&key(&name), body("x"), options).await.unwrap();
        expected.push(name);
        if at % 5 == 4 {
            store.delete(&key(&expected.remove(at / 5))).await.unwrap();
        }
        assert_eq!(names(&store, "n/").await, expected);
    }
}
