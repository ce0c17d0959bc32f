//! What holds for every store that several proxies share, whatever server it is: one named test for each rule and server.

pub(crate) mod faults;
pub(crate) mod sharing;

use std::path::Path;

use crate::harness::Setup;

/// A server that keeps the records of several proxies, and that can be struck.
pub(crate) trait StoreServer: Sized {
    async fn start(folder: &Path) -> Self;

    fn url(&self) -> String;

    /// As this user with this password, though it may ask for neither.
    fn url_as(&self, credentials: &str) -> String;

    /// It takes connections and bytes, and answers nothing.
    async fn hang(&self);

    async fn go_on(&self);

    async fn kill(&mut self);

    /// On the same port.
    async fn start_again(&mut self);

    /// A proxy on this store.
    fn under(&self, setup: Setup) -> Setup {
        setup.flag("--store", &self.url())
    }
}

/// The tests of this folder, on servers of one kind.
macro_rules! shared_suite {
    ($server:ident) => {
        $crate::shared::shared_suite! { $server, sharing:
            what_one_proxy_executed_every_other_replays
            a_duplicate_at_another_proxy_is_told_that_the_first_is_in_flight
            many_firsts_at_two_proxies_execute_once
            duplicates_that_wait_at_another_proxy_are_replayed_when_the_first_ends
            one_of_those_who_wait_at_another_proxy_executes_after_a_release
        }
        $crate::shared::shared_suite! { $server, faults:
            a_server_that_hangs_is_refused_in_time_and_nothing_runs
            an_outcome_that_a_hung_server_cannot_take_is_unrecorded_and_recorded_later
            a_server_that_died_is_used_again_without_a_restart
            a_proxy_does_not_start_without_its_server_and_says_where_it_looked
        }
    };
    ($server:ident, $theme:ident: $($rule:ident)+) => {
        mod $theme {
            $(
                #[tokio::test]
                async fn $rule() {
                    $crate::shared::$theme::$rule::<super::$server>().await;
                }
            )+
        }
    };
}
pub(crate) use shared_suite;
