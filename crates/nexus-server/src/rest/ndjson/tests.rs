use std::convert::Infallible;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_silence_is_filled_with_empty_lines() {
    let late = async {
        tokio::time::sleep(PULSE * 5 / 2).await;
        Ok::<_, Infallible>(Bytes::from_static(b"late\n"))
    };
    let lines: Vec<_> = with_pulse(stream::once(late).boxed())
        .map(Result::unwrap)
        .collect()
        .await;
    assert_eq!(lines, ["\n", "\n", "late\n"]);
}
