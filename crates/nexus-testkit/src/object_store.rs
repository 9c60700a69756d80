//! The contract suite of [`ObjectStore`], and a store that misbehaves on purpose.
//!
//! Every clause of the trait's documentation is one function here and one named test in
//! every driver that says [`object_store_contract!`](crate::object_store_contract).
#![expect(clippy::unwrap_used, reason = "the clauses are tests")]

use std::sync::Arc;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, stream};
use nexus_kernel::{
    ByteStream, Durability, Error, Kind, ObjectKey, ObjectStore, PutMode, PutOptions, PutOutcome,
    Result,
};

pub mod copying;
pub mod durability;
mod faulty;
pub mod keys;
mod layered;
pub mod listing;
pub mod putting;
pub mod racing;
pub mod reading;
pub mod removing;

pub use faulty::{Faults, FaultyObjectStore};
pub use layered::{Layer, Layered};

/// The store under test.
pub type Store = Arc<dyn ObjectStore>;

/// Replaces what is there, durably.
pub const OVERWRITE: PutOptions = PutOptions {
    mode: PutMode::Overwrite,
    durability: Durability::Sync,
};

/// Creates, durably.
pub const IF_ABSENT: PutOptions = PutOptions {
    mode: PutMode::IfAbsent,
    durability: Durability::Sync,
};

/// Replaces what is there, durable after the next `sync`.
pub const RELAXED: PutOptions = PutOptions {
    mode: PutMode::Overwrite,
    durability: Durability::Relaxed,
};

/// Runs the contract suite of `ObjectStore`: one `#[tokio::test]` per clause. The expression makes
/// a fresh, empty store for each, as a pair of an `Arc` of it and whatever has to outlive it.
///
/// ```ignore
/// object_store_contract!((Arc::new(MemoryObjectStore::new(clock())), ()));
/// ```
#[macro_export]
macro_rules! object_store_contract {
    ($make:expr) => {
        $crate::object_store_contract! { $make =>
            putting::a_blob_comes_back_as_it_was_put,
            putting::a_body_may_arrive_in_pieces_of_any_size,
            putting::an_empty_body_makes_an_empty_blob,
            putting::a_put_answers_the_size_it_stored,
            putting::a_put_replaces_what_was_there,
            putting::a_put_if_absent_creates_what_is_not_there,
            putting::a_put_if_absent_leaves_what_is_there,
            putting::a_failed_body_leaves_nothing,
            putting::a_failed_body_leaves_what_was_there,
            putting::a_failed_large_body_leaves_what_was_there,
            putting::a_dropped_put_leaves_nothing,
            putting::a_dropped_put_leaves_what_was_there,
            putting::a_large_blob_streams_in_and_out,
            putting::blobs_of_many_sizes_come_back,
            racing::one_of_many_concurrent_creators_wins,
            racing::one_of_many_concurrent_large_creators_wins,
            racing::readers_see_a_replaced_blob_whole,
            racing::readers_see_a_replaced_large_blob_whole,
            racing::an_open_blob_outlives_its_deletion,
            racing::a_put_outlives_a_delete_that_was_given_up,
            racing::concurrent_puts_of_different_keys_all_arrive,
            reading::a_range_selects_bytes,
            reading::a_range_is_cut_at_the_end,
            reading::a_range_at_the_end_is_empty,
            reading::a_range_beyond_the_end_is_refused,
            reading::a_backward_range_is_refused,
            reading::a_range_of_a_large_blob_selects_bytes,
            reading::head_tells_size_and_time,
            reading::head_and_get_agree,
            reading::a_missing_blob_is_not_found,
            reading::a_local_file_has_the_bytes_of_the_blob,
            reading::an_open_local_file_never_changes,
            reading::a_missing_blob_has_no_local_file,
            removing::delete_says_whether_there_was_a_blob,
            removing::a_deleted_blob_is_gone_everywhere,
            removing::a_deleted_key_can_be_created_again,
            removing::deleting_one_blob_leaves_its_neighbours,
            listing::a_list_is_in_key_order,
            listing::a_list_keeps_to_its_prefix,
            listing::a_prefix_may_end_inside_a_segment,
            listing::a_list_goes_on_after_a_key,
            listing::pages_visit_every_blob_once,
            listing::a_full_page_without_a_successor_is_the_last,
            listing::an_empty_store_lists_nothing,
            listing::a_list_tells_size_and_time,
            listing::a_list_sees_puts_and_deletes_at_once,
            copying::a_copy_has_the_same_bytes,
            copying::a_copy_of_a_large_blob_has_the_same_bytes,
            copying::a_copy_outlives_its_origin,
            copying::a_copy_obeys_if_absent,
            copying::a_copy_onto_itself_changes_nothing,
            copying::a_copy_of_a_missing_blob_is_not_found,
            durability::a_relaxed_blob_is_visible_at_once,
            durability::a_relaxed_large_blob_is_visible_at_once,
            durability::sync_succeeds_with_and_without_work,
            durability::relaxed_blobs_survive_a_sync_in_place,
            durability::a_durable_create_meets_a_relaxed_blob,
            keys::a_key_may_continue_another_key,
            keys::long_segments_and_long_keys_work,
            keys::keys_differ_by_case_and_punctuation,
            keys::hidden_looking_names_are_names,
        }
    };
    ($make:expr => $($area:ident :: $clause:ident,)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let (store, _keep) = $make;
                $crate::object_store::$area::$clause(store).await;
            }
        )*
    };
}

/// A legal key.
#[must_use]
pub fn key(name: &str) -> ObjectKey {
    ObjectKey::new(name).expect("tests use legal keys")
}

/// A body of one piece.
#[must_use]
pub fn body(bytes: impl Into<Bytes>) -> ByteStream {
    stream::iter([Ok(bytes.into())]).boxed()
}

/// A body cut into pieces whose lengths go around `lengths`.
#[must_use]
pub fn body_in_pieces(mut bytes: Bytes, lengths: &'static [usize]) -> ByteStream {
    let mut lengths = lengths.iter().cycle();
    let next = move || {
        let length = *lengths.next().expect("the lengths go around");
        let piece = bytes.split_to(length.min(bytes.len()));
        (!piece.is_empty() || !bytes.is_empty()).then_some(Ok(piece))
    };
    stream::iter(std::iter::from_fn(next)).boxed()
}

/// A body that delivers `bytes` and then fails.
#[must_use]
pub fn failing_body(bytes: Bytes) -> ByteStream {
    stream::iter([Ok(bytes), Err(Error::unavailable("the sender went away"))]).boxed()
}

/// `length` bytes that differ from place to place and from `seed` to `seed`.
#[must_use]
pub fn pattern(seed: u8, length: usize) -> Bytes {
    const PERIOD: usize = 4099;
    let block: Vec<u8> = (0..PERIOD)
        .map(|at| ((at * 31) >> 3) as u8 ^ seed)
        .collect();
    let mut bytes = block.repeat(length / PERIOD + 1);
    bytes.truncate(length);
    bytes.into()
}

/// Stores `bytes` durably, replacing what is there.
pub async fn put(store: &Store, name: &str, bytes: impl Into<Bytes>) -> PutOutcome {
    let stored = store.put(&key(name), body(bytes), OVERWRITE).await;
    stored.expect("a plain put succeeds")
}

/// All bytes of a blob.
pub async fn read(store: &Store, name: &str) -> Result<Bytes> {
    let blob = store.get(&key(name), None).await?;
    collect(blob.body).await
}

/// All bytes of a body.
pub async fn collect(body: ByteStream) -> Result<Bytes> {
    let pieces: Vec<Bytes> = body.try_collect().await?;
    Ok(pieces.concat().into())
}

/// Asserts that there is no such blob, whichever way one asks.
pub async fn assert_missing(store: &Store, name: &str) {
    let key = key(name);
    let head = store.head(&key).await.expect_err("the blob has no head");
    assert_eq!(head.kind(), Kind::NotFound);
    let get = store
        .get(&key, None)
        .await
        .err()
        .expect("the blob does not open");
    assert_eq!(get.kind(), Kind::NotFound);
    let listed = names(store, name).await;
    assert!(
        !listed.iter().any(|listed| listed == name),
        "{name} is still listed"
    );
}

/// The keys with a prefix, all pages.
pub async fn names(store: &Store, prefix: &str) -> Vec<String> {
    let page = store.list(prefix, None, 10_000).await;
    let page = page.expect("a list succeeds");
    assert!(!page.more, "tests keep to one page");
    page.objects
        .iter()
        .map(|meta| meta.key.to_string())
        .collect()
}
