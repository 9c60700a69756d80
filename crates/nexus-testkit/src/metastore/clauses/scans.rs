//! Order, pages and ranges.

use nexus_kernel::{Freshness, Kind, Page, Revision, Scan, ScanDirection};

use crate::metastore::support::*;

async fn scan(store: &Store, scan: Scan) -> Page {
    let page = store.scan(scan, Freshness::Linearizable).await;
    page.expect("a scan succeeds")
}

pub async fn a_scan_goes_up_in_byte_order(store: Store) {
    let sorted: [&[u8]; 8] = [b"", b"\0", b"A", b"a", b"a\0", b"aa", b"b", b"\xFE\xFF"];
    let mixed = [5, 2, 7, 0, 4, 1, 6, 3];
    write(&store, mixed.map(|i| put(sorted[i], "v"))).await;
    let page = scan(&store, Scan::forward(everything(), 100)).await;
    assert!(page.entries.iter().map(|entry| &*entry.key).eq(sorted));
}

pub async fn a_backward_scan_goes_down(store: Store) {
    write(&store, ["b", "c", "a", "d"].map(|key| put(key, key))).await;
    let page = scan(&store, Scan::backward(range("a", "d"), 2)).await;
    assert_eq!(keys(&page.entries), ["c", "b"]);
    assert!(page.more);
    let page = scan(&store, Scan::backward(range("a", "b"), 2)).await;
    assert_eq!(keys(&page.entries), ["a"]);
    assert!(!page.more);
}

pub async fn a_range_includes_its_start_and_not_its_end(store: Store) {
    write(&store, ["a", "b", "c", "d"].map(|key| put(key, key))).await;
    for direction in [ScanDirection::Forward, ScanDirection::Backward] {
        let asked = Scan {
            direction,
            ..Scan::forward(range("b", "d"), 100)
        };
        let mut found = keys(&scan(&store, asked).await.entries);
        found.sort();
        assert_eq!(found, ["b", "c"]);
    }
}

pub async fn more_tells_whether_the_range_goes_on(store: Store) {
    write(&store, ["a", "b", "c", "z"].map(|key| put(key, key))).await;
    for (limit, more) in [(1, true), (2, true), (3, false), (4, false)] {
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let asked = Scan {
                direction,
                ..Scan::forward(range("a", "z"), limit)
            };
            let page = scan(&store, asked).await;
            assert_eq!(page.entries.len(), limit.min(3));
            assert_eq!(page.more, more, "{limit} {direction:?}");
        }
    }
}

pub async fn a_page_ends_once_it_has_so_many_bytes(store: Store) {
    // Of 10 bytes each, key and value together.
    write(
        &store,
        ["a", "b", "c", "z"].map(|key| put(key, "123456789")),
    )
    .await;
    let pages = [
        (1, 1, true),
        (10, 1, true),
        (11, 2, true),
        (20, 2, true),
        (21, 3, false),
        (1 << 20, 3, false),
    ];
    for (bytes_max, entries, more) in pages {
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let asked = Scan {
                direction,
                ..Scan::forward(range("a", "z"), 100).bytes_max(bytes_max)
            };
            let page = scan(&store, asked.clone()).await;
            assert_eq!(page.entries.len(), entries, "{asked:?}");
            assert_eq!(page.more, more, "{asked:?}");
        }
    }
    let one = Scan::forward(everything(), 1).bytes_max(1 << 20);
    assert_eq!(scan(&store, one).await.entries.len(), 1);
    let none = Scan::forward(everything(), 1).bytes_max(0);
    let refused = store.scan(none, Freshness::Linearizable).await;
    assert_eq!(refused.unwrap_err().kind(), Kind::InvalidArgument);
}

pub async fn pages_join_to_the_whole_range(store: Store) {
    let all: Vec<_> = (0..1000).map(|n| format!("k/{n:04}")).collect();
    write(
        &store,
        all.iter()
            .map(|key| put(key.clone(), ""))
            .collect::<Vec<_>>(),
    )
    .await;
    let mut up = Vec::new();
    let mut left = range("k/", "k0");
    loop {
        let page = scan(&store, Scan::forward(left.clone(), 64)).await;
        up.extend(keys(&page.entries));
        if !page.more {
            break;
        }
        left.start = after(&page.entries.last().unwrap().key);
    }
    assert_eq!(up, all);

    let mut down = Vec::new();
    let mut left = range("k/", "k0");
    loop {
        let page = scan(&store, Scan::backward(left.clone(), 64)).await;
        down.extend(keys(&page.entries));
        if !page.more {
            break;
        }
        left.end = page.entries.last().unwrap().key.clone();
    }
    down.reverse();
    assert_eq!(down, all);
}

pub async fn a_page_names_the_revision_it_was_read_at(store: Store) {
    assert_eq!(
        scan(&store, Scan::forward(everything(), 1)).await.revision,
        Revision::ZERO
    );
    for n in 1..=5 {
        let revision = write(&store, [put(format!("k/{n}"), "")]).await;
        let page = scan(&store, Scan::forward(everything(), 100)).await;
        assert_eq!((page.revision, page.entries.len()), (revision, n));
    }
}

pub async fn a_page_is_one_state(store: Store) {
    let writer = tokio::spawn({
        let store = store.clone();
        async move {
            for _ in 0..200 {
                write(
                    &store,
                    (0..20)
                        .map(|n| add(format!("k/{n}"), 1))
                        .collect::<Vec<_>>(),
                )
                .await;
            }
        }
    });
    while !writer.is_finished() {
        let asked = Scan::forward(range("k/", "k0"), 100);
        let page = store.scan(asked, Freshness::Local).await.unwrap();
        let written = |entry: &nexus_kernel::Entry| entry.value.revision == page.revision;
        assert!(page.entries.iter().all(written), "{page:?}");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

pub async fn an_empty_range_has_no_entries(store: Store) {
    write(&store, [put("a", ""), put("c", "")]).await;
    for empty in [range("b", "c"), range("a", "a"), range("x", "y")] {
        for direction in [ScanDirection::Forward, ScanDirection::Backward] {
            let asked = Scan {
                direction,
                ..Scan::forward(empty.clone(), 10)
            };
            let page = scan(&store, asked).await;
            assert!(page.entries.is_empty() && !page.more, "{empty:?}");
            assert_eq!(page.revision, Revision(1));
        }
    }
}
