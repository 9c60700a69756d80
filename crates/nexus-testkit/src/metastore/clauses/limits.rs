//! What is too much, and what is malformed.

use bytes::Bytes;
use nexus_kernel::{Error, Freshness, Guard, Kind, Op, Revision, STAMP_LEN, Scan};

use crate::metastore::support::*;

fn kind<T>(answer: Result<T, Error>) -> Option<Kind> {
    answer.err().map(|error| error.kind())
}

pub async fn a_key_of_the_limit_fits_and_a_longer_one_is_refused(store: Store) {
    let longest = vec![b'k'; store.limits().key_bytes_max];
    write(&store, [put(longest.clone(), "v")]).await;
    assert_eq!(bytes(&store, &longest).await.unwrap(), "v");

    let long = Bytes::from([&longest[..], b"k"].concat());
    for op in [
        put(long.clone(), ""),
        delete(long.clone()),
        add(long.clone(), 1),
        max(long.clone(), ""),
    ] {
        assert_eq!(refused(&store, txn([], [op])).await, Kind::LimitExceeded);
    }
    for guard in [absent(long.clone()), present(long.clone())] {
        assert_eq!(
            refused(&store, txn([guard], [put("a", "")])).await,
            Kind::LimitExceeded
        );
    }
    let read = store.get(&long, Freshness::Local).await;
    assert_eq!(kind(read), Some(Kind::LimitExceeded));
    let read = store.get_many(&[long], Freshness::Local).await;
    assert_eq!(kind(read), Some(Kind::LimitExceeded));
    assert_eq!(rows(&store, everything()).await.len(), 1);
}

pub async fn a_stamp_counts_towards_the_key(store: Store) {
    let prefix = vec![b'k'; store.limits().key_bytes_max - STAMP_LEN];
    write(&store, [Op::PutStamped(prefix.clone().into(), "v".into())]).await;
    let long = Bytes::from([&prefix[..], b"k"].concat());
    let stamped = Op::PutStamped(long, "v".into());
    assert_eq!(
        refused(&store, txn([], [stamped])).await,
        Kind::LimitExceeded
    );
}

pub async fn a_value_of_the_limit_fits_and_a_larger_one_is_refused(store: Store) {
    let largest = vec![7; store.limits().value_bytes_max];
    write(&store, [put("a", largest.clone())]).await;
    assert_eq!(bytes(&store, "a").await.unwrap(), largest);
    let large = Bytes::from([&largest[..], &[7]].concat());
    let stamped = Op::PutStamped("s".into(), large.clone());
    for op in [put("a", large.clone()), max("a", large.clone()), stamped] {
        assert_eq!(refused(&store, txn([], [op])).await, Kind::LimitExceeded);
    }
    assert_eq!(bytes(&store, "a").await.unwrap().len(), largest.len());
}

pub async fn a_transaction_of_too_many_items_is_refused(store: Store) {
    let most = store.limits().txn_items_max;
    let ops = vec![delete("a"); most];
    assert_eq!(
        refused(&store, txn([absent("a")], ops)).await,
        Kind::LimitExceeded
    );
    let ops = vec![delete("a"); most + 1];
    assert_eq!(refused(&store, txn([], ops)).await, Kind::LimitExceeded);
    assert_eq!(revision(&store).await, Revision::ZERO);
}

pub async fn a_transaction_of_too_many_bytes_is_refused(store: Store) {
    let limits = store.limits();
    let value = Bytes::from(vec![0; limits.value_bytes_max]);
    let rows = limits.txn_bytes_max / limits.value_bytes_max + 1;
    let ops: Vec<_> = (0..rows)
        .map(|n| put(n.to_string(), value.clone()))
        .collect();
    assert_eq!(refused(&store, txn([], ops)).await, Kind::LimitExceeded);
    assert_eq!(revision(&store).await, Revision::ZERO);
}

pub async fn a_transaction_without_operations_is_invalid(store: Store) {
    assert_eq!(refused(&store, txn([], [])).await, Kind::InvalidArgument);
    assert_eq!(
        refused(&store, txn([absent("a")], [])).await,
        Kind::InvalidArgument
    );
    assert_eq!(
        refused(&store, txn([present("a")], [])).await,
        Kind::InvalidArgument
    );
}

pub async fn a_scan_of_nothing_is_invalid_and_of_too_much_refused(store: Store) {
    let most = store.limits().scan_entries_max;
    let scan = |limit| store.scan(Scan::forward(everything(), limit), Freshness::Local);
    assert_eq!(kind(scan(0).await), Some(Kind::InvalidArgument));
    assert_eq!(kind(scan(most).await), None);
    assert_eq!(kind(scan(most + 1).await), Some(Kind::LimitExceeded));
}

pub async fn a_range_out_of_order_is_invalid(store: Store) {
    let inverted = || range("b", "a");
    let delete = txn([], [Op::DeleteRange(inverted())]);
    assert_eq!(refused(&store, delete).await, Kind::InvalidArgument);
    let guard = txn([Guard::RangeEmpty(inverted())], [put("a", "")]);
    assert_eq!(refused(&store, guard).await, Kind::InvalidArgument);
    for scan in [Scan::forward(inverted(), 1), Scan::backward(inverted(), 1)] {
        let page = store.scan(scan, Freshness::Local).await;
        assert_eq!(kind(page), Some(Kind::InvalidArgument));
    }
}

pub async fn a_large_transaction_applies(store: Store) {
    let ops: Vec<_> = (0..20_000).map(|n| put(format!("k/{n:05}"), "v")).collect();
    let revision = write(&store, ops).await;
    let all = rows(&store, range("k/", "k0")).await;
    assert_eq!(all.len(), 20_000);
    assert!(all.iter().all(|row| row.value.revision == revision));
    write(&store, [Op::DeleteRange(range("k/", "k0"))]).await;
    assert!(rows(&store, everything()).await.is_empty());
}
