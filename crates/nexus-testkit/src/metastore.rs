//! The contract suite of [`Metastore`](nexus_kernel::Metastore) and stores that misbehave
//! on purpose.

mod barrier;
#[expect(
    clippy::unwrap_used,
    reason = "a clause is the body of a test: a panic is its verdict"
)]
pub mod clauses;
mod faulty;
pub mod support;
mod watched;

pub use barrier::TestBarrier;
pub use faulty::{Faults, FaultyMetastore};
pub use watched::{Call, WatchedMetastore, Watcher};

/// Expands to one `#[tokio::test]` per clause of the contract of
/// [`Metastore`](nexus_kernel::Metastore).
///
/// The expression makes a fresh, empty `Arc<impl Metastore>`; it is evaluated once for
/// each test. Drivers invoke the macro in their `tests.rs`, wrappers over a store that
/// passes it. The invoking crate needs `nexus-kernel` and `tokio`.
#[macro_export]
macro_rules! metastore_contract {
    ($make:expr) => {
        $crate::metastore_clauses! { $make;
            guards:
                absent_holds_only_without_a_value,
                present_holds_only_with_a_value,
                revision_is_holds_only_for_the_last_writer,
                range_empty_holds_only_without_a_key_in_the_range,
                guards_see_the_state_before_the_transaction,
                a_conflict_names_the_first_guard_that_fails,
                a_conflict_changes_nothing_and_takes_no_revision;
            ops:
                put_sets_and_replaces,
                an_empty_value_is_a_value,
                delete_removes_and_absent_keys_are_no_error,
                delete_range_removes_exactly_the_range,
                later_operations_see_earlier_ones,
                one_transaction_writes_all_its_keys_at_one_revision,
                add_counts_from_zero_and_keeps_a_counter_at_zero,
                max_keeps_the_larger_value_and_its_revision,
                put_stamped_appends_the_revision,
                stamped_keys_sort_in_commit_order;
            refusals:
                adding_to_another_length_is_invalid,
                an_overflow_is_a_reached_limit,
                a_refused_transaction_leaves_nothing,
                a_refused_transaction_restores_what_it_overwrote,
                a_refusal_spares_those_committed_with_it;
            retries:
                a_retry_by_id_answers_the_first_revision,
                a_retry_ignores_guards_that_no_longer_hold,
                a_conflict_is_not_remembered,
                a_refusal_is_not_remembered,
                without_an_id_every_commit_applies,
                the_last_4096_ids_are_remembered;
            reads:
                an_absent_key_has_no_value,
                a_value_carries_the_revision_that_wrote_it,
                get_many_answers_in_the_order_asked,
                get_many_reads_one_state,
                an_acknowledged_commit_is_visible_at_every_freshness,
                at_least_waits_for_its_revision;
            scans:
                a_scan_goes_up_in_byte_order,
                a_backward_scan_goes_down,
                a_range_includes_its_start_and_not_its_end,
                more_tells_whether_the_range_goes_on,
                a_page_ends_once_it_has_so_many_bytes,
                pages_join_to_the_whole_range,
                a_page_names_the_revision_it_was_read_at,
                a_page_is_one_state,
                an_empty_range_has_no_entries;
            revisions:
                a_fresh_store_is_at_zero,
                each_applied_commit_takes_the_next_revision,
                changed_returns_at_once_when_the_store_is_past,
                changed_wakes_on_a_commit,
                changed_wakes_every_waiter,
                sync_answers_what_is_durable,
                relaxed_commits_are_visible_at_once;
            barrier:
                a_sync_commit_waits_for_the_barrier,
                a_sync_waits_for_the_barrier_of_relaxed_commits,
                a_clean_barrier_is_not_flushed,
                a_failing_barrier_fails_a_sync_and_loses_nothing,
                an_id_that_met_a_failing_barrier_is_not_remembered,
                many_writers_share_a_barrier;
            concurrency:
                concurrent_additions_all_count,
                one_of_many_creators_wins,
                disjoint_writers_never_conflict,
                revisions_of_concurrent_commits_are_distinct_and_dense,
                readers_see_whole_transactions,
                a_dropped_commit_applies_whole_or_not_at_all;
            limits:
                a_key_of_the_limit_fits_and_a_longer_one_is_refused,
                a_stamp_counts_towards_the_key,
                a_value_of_the_limit_fits_and_a_larger_one_is_refused,
                a_transaction_of_too_many_items_is_refused,
                a_transaction_of_too_many_bytes_is_refused,
                a_transaction_without_operations_is_invalid,
                a_scan_of_nothing_is_invalid_and_of_too_much_refused,
                a_range_out_of_order_is_invalid,
                a_large_transaction_applies;
            snapshots:
                a_snapshot_has_every_row_with_its_revision,
                a_snapshot_stays_as_it_was,
                a_snapshot_of_an_empty_store_is_empty,
                snapshots_of_different_states_are_apart,
                pages_of_a_snapshot_join_to_the_whole,
                a_scan_of_a_snapshot_has_the_limits_of_a_scan,
                a_snapshot_during_writes_is_one_state,
                only_so_many_snapshots_are_held_and_dropped_ones_make_room;
            restoring:
                a_restored_store_answers_as_the_original,
                a_restored_store_goes_on_after_its_revision,
                a_restore_serves_nothing_else_until_it_ends,
                a_restore_tells_how_far_it_has_come,
                a_used_store_is_not_restored_into,
                only_one_restore_begins,
                steps_without_a_beginning_are_refused,
                rows_out_of_order_are_invalid_and_change_nothing,
                rows_of_revisions_beyond_the_end_are_invalid,
                an_abandoned_restore_leaves_an_empty_store,
                a_restore_ends_after_its_beginning,
                a_note_has_a_limit;
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! metastore_clauses {
    ($make:expr; $($subject:ident: $($clause:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $clause() {
                let store: std::sync::Arc<dyn nexus_kernel::Metastore> = $make;
                $crate::metastore::clauses::$subject::$clause(store).await;
            }
        )+)+
    };
}
