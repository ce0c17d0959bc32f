//! The macros that expand to one test for each rule, and the list of all rules.

/// Expands to one `#[test]` for each rule of a store: see [`store_suite`](crate::testing::store_suite).
///
/// `store_suite!(setup, block_on)`: `setup` is an expression that makes an empty
/// [`SuiteStore`](crate::testing::SuiteStore), evaluated anew for each test and inside the executor;
/// `block_on` is a function that runs a future to its end.
#[macro_export]
#[doc(hidden)]
macro_rules! __store_suite {
    ($setup:expr, $block_on:expr $(,)?) => {
        $crate::__suite_rules! {
            $crate::testing::store_suite::Harness, $setup, $block_on,
            insert {
                an_insert_creates_a_record_in_flight_where_nothing_stands
                the_same_owners_insert_again_is_answered_created_and_changes_nothing
                another_owners_insert_is_told_what_stands_there
                an_insert_over_a_completed_record_is_told_the_outcome
                an_insert_over_an_unknown_record_is_told_so
                an_owners_insert_after_its_own_completion_does_not_create
                an_insert_after_a_release_creates_anew
                records_of_different_ids_do_not_touch_each_other
            }
            contention {
                one_insert_wins_among_many_tasks
                one_insert_wins_among_many_threads
                one_take_over_wins_among_many_threads
                an_owner_that_races_itself_creates_one_record
                an_owner_that_completes_twice_at_once_completes_once
            }
            table {
                a_record_in_flight_is_completed_by_its_owner
                an_unknown_record_is_completed_by_its_late_owner
                a_record_in_flight_is_gone_after_its_owners_release
                an_unknown_record_is_gone_after_its_owners_release
                a_record_in_flight_is_unknown_once_its_owner_says_so
                a_record_in_flight_is_unknown_once_its_lease_has_lapsed
                an_unknown_record_that_is_taken_over_is_in_flight_under_a_new_fence
                a_record_whose_lease_lapsed_can_be_taken_over
                a_take_over_without_a_revision_has_no_effect
                a_take_over_that_names_the_wrong_owner_has_no_effect
                a_take_over_loses_to_a_renewal_that_it_did_not_see
                an_unknown_record_that_is_settled_as_completed_has_a_new_owner_and_fence
                an_unknown_record_that_is_settled_as_not_executed_is_gone
                a_settlement_without_a_revision_has_no_effect
                a_settlement_loses_to_a_completion_that_it_did_not_see
                a_write_that_names_an_old_revision_has_no_effect
                a_completed_record_is_closed_to_every_other_change
                a_record_marked_unknown_cannot_be_renewed
                an_update_creates_nothing_where_nothing_stands
                a_completed_record_is_kept_from_its_completion_on
                an_insert_is_told_of_the_record_at_every_line_of_the_table
            }
            repeats {
                a_completion_that_is_repeated_is_applied_and_changes_nothing
                a_completion_that_is_repeated_with_other_bytes_keeps_the_first
                a_release_that_is_repeated_is_applied
                a_mark_that_is_repeated_is_applied_and_changes_nothing
                a_renewal_that_is_repeated_is_applied
                an_insert_that_is_repeated_after_its_lease_is_answered_created
                a_mark_after_the_own_completion_has_no_effect
                a_release_after_the_own_completion_has_no_effect
            }
            stale {
                a_stale_owner_has_no_effect_on_a_record_in_flight
                a_stale_owner_has_no_effect_on_an_unknown_record
                a_stale_owner_has_no_effect_on_a_completed_record
                an_owner_is_stale_after_its_release_and_another_insert
                an_owner_is_stale_after_a_settlement
                an_owner_that_never_held_the_record_has_no_effect
                a_renewal_by_the_owner_of_a_lapsed_lease_is_applied
                a_completion_by_the_owner_of_a_lapsed_lease_is_applied
                a_release_by_the_owner_of_a_lapsed_lease_is_applied
            }
            fence {
                a_fence_grows_over_release_and_insert_even_if_time_stands_still
                a_fence_grows_over_every_take_over
                a_fence_that_ran_ahead_of_the_clock_never_goes_back
                a_fence_grows_over_the_purge_of_a_record
                a_fence_is_never_below_the_stores_time_in_microseconds
                a_fence_stays_while_a_record_keeps_its_owner
                a_revision_is_raised_by_every_write
            }
            time {
                every_answer_carries_a_time_that_never_goes_back
                time_passes_when_it_is_told_to
                a_lease_ends_so_long_after_the_insert
                a_renewal_pushes_the_lease_on_from_now
                an_execution_many_leases_long_is_never_absent_while_it_is_renewed
                a_record_outlives_its_lease_by_the_time_of_the_unknown
                the_end_of_a_record_does_not_follow_its_lease
                an_unknown_record_stays_so_for_as_long_as_was_asked
                a_record_expires_by_its_stored_times_without_a_purge
                a_record_past_its_end_is_absent_even_if_it_was_not_removed
                a_completion_shortens_or_lengthens_the_life_of_a_record
                a_record_can_be_kept_for_a_hundred_years
            }
            purge {
                a_purge_leaves_everything_that_has_time_left_as_it_was
                a_purge_takes_the_body_of_an_expired_record_and_leaves_a_tombstone
                a_tombstone_is_told_to_inserts_and_closed_to_changes
                a_purge_removes_a_record_whose_tombstone_has_had_its_time
                a_purge_goes_in_bounded_steps_that_come_to_an_end
                a_purge_picks_only_those_whose_time_has_come
                a_purge_never_takes_a_record_in_flight_before_its_time
                a_purge_turns_an_unknown_record_into_a_tombstone_after_its_time
                a_purge_of_an_empty_store_comes_to_an_end
            }
            content {
                record_ids_are_opaque_bytes
                record_ids_that_share_all_but_one_byte_are_different_records
                owners_that_share_all_but_one_byte_are_different_owners
                a_body_of_eight_mebibytes_comes_back_byte_for_byte
                an_empty_body_comes_back_empty
                a_binary_body_comes_back_byte_for_byte
                an_outcome_comes_back_whole
                a_store_does_not_look_into_a_stored_response
                fingerprints_come_back_as_they_were
                what_people_are_shown_comes_back_as_it_was
            }
            watch {
                a_watcher_sees_a_completion
                a_watcher_sees_a_release
                a_watcher_sees_that_the_outcome_is_unknown
                all_watchers_of_a_record_wake
                a_watcher_that_leaves_does_not_hold_up_the_others
                a_ping_is_answered
                a_store_says_what_it_is_and_keeps_its_salt
            }
        }
    };
}

/// Expands to one `#[test]` for each rule of a store that lists its records: see
/// [`store_suite`](crate::testing::store_suite).
///
/// `inspect_suite!(setup, block_on)`: as with `store_suite!`, but `setup` makes a
/// [`SuiteInspect`](crate::testing::store_suite::SuiteInspect).
#[macro_export]
#[doc(hidden)]
macro_rules! __inspect_suite {
    ($setup:expr, $block_on:expr $(,)?) => {
        $crate::__suite_rules! {
            $crate::testing::store_suite::listing::InspectHarness, $setup, $block_on,
            listing {
                a_listing_pages_through_everything_once
                a_listing_shows_records_as_they_stand
                a_listing_finds_by_phase
                a_listing_finds_by_the_digest_of_the_key
                a_listing_does_not_show_records_past_their_end
                a_listing_goes_on_while_records_come_and_go
                a_listing_of_an_empty_store_is_empty
            }
        }
    };
}

/// One test for each rule, named after it.
#[macro_export]
#[doc(hidden)]
macro_rules! __suite_rules {
    ($harness:path, $setup:expr, $block_on:expr, $($topic:ident { $($rule:ident)+ })+) => {
        $($(
            #[test]
            fn $rule() {
                let block_on: $crate::testing::BlockOn = |future| ($block_on)(future);
                block_on(::std::boxed::Box::pin(async move {
                    let harness = <$harness>::new($setup, block_on);
                    $crate::testing::store_suite::$topic::$rule(harness).await;
                }));
            }
        )+)+
    };
}

#[cfg(test)]
mod tests {
    /// A rule that nobody expands would be green for every store.
    #[test]
    fn every_rule_of_every_topic_is_in_the_list() {
        let list = include_str!("macros.rs");
        let topics = [
            include_str!("insert.rs"),
            include_str!("contention.rs"),
            include_str!("table.rs"),
            include_str!("repeats.rs"),
            include_str!("stale.rs"),
            include_str!("fence.rs"),
            include_str!("time.rs"),
            include_str!("purge.rs"),
            include_str!("content.rs"),
            include_str!("watch.rs"),
            include_str!("listing.rs"),
        ];
        for line in topics.iter().flat_map(|topic| topic.lines()) {
            let Some((rule, _)) = line
                .strip_prefix("pub async fn ")
                .and_then(|rule| rule.split_once('('))
            else {
                continue;
            };
            let listed = list.lines().any(|listed| listed.trim() == rule);
            assert!(listed, "the rule {rule} is not in the list");
        }
    }
}
