use futures::FutureExt;

use super::*;

#[tokio::test]
async fn turns_of_one_path_follow_each_other() {
    let turns = Turns::default();
    let first = turns.wait("/a").await;
    let other = turns.wait("/b").now_or_never();
    assert!(other.is_some(), "another path has turns of its own");
    let mut second = Box::pin(turns.wait("/a"));
    assert!((&mut second).now_or_never().is_none());
    drop(first);
    second.await;
}

#[tokio::test]
async fn nothing_is_kept_of_turns_that_are_over_or_given_up() {
    let turns = Turns::default();
    let first = turns.wait("/a").await;
    let mut second = Box::pin(turns.wait("/a"));
    assert!((&mut second).now_or_never().is_none());
    drop(second);
    assert_eq!(turns.0.lock().len(), 1);
    drop(first);
    assert!(turns.0.lock().is_empty());
}
