use super::*;

#[tokio::test(start_paused = true)]
async fn only_a_try_whose_answer_was_lost_may_have_done_it() {
    let away = || Error::unavailable("no connection");
    let mut answers = [
        Err(away()),
        Err(away().outcome_unknown()),
        Err(away()),
        Ok(()),
    ]
    .into_iter();
    let mut told = Vec::new();
    let call = |again| {
        told.push(again);
        std::future::ready(answers.next().expect("it has ended before"))
    };
    patiently(Duration::from_secs(9), call).await.unwrap();
    assert_eq!(told, [false, false, true, true]);
}
