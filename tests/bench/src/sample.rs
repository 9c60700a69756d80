//! Taking times.

use std::future::Future;
use std::time::{Duration, Instant};

/// Times of single calls.
pub(crate) struct Samples(Vec<Duration>);

impl Samples {
    pub(crate) fn p50(&self) -> Duration {
        self.0[self.0.len() / 2]
    }
}

/// The times of `count` calls, one after another.
pub(crate) async fn each<F: Future<Output = ()>>(
    count: usize,
    mut call: impl FnMut(usize) -> F,
) -> Samples {
    let mut times = Vec::with_capacity(count);
    for i in 0..count {
        let start = Instant::now();
        call(i).await;
        times.push(start.elapsed());
    }
    times.sort_unstable();
    Samples(times)
}

/// The times of calls too short to be timed singly: of `count` rounds of `per_round` calls,
/// divided.
pub(crate) async fn rounds<F: Future<Output = ()>>(
    count: usize,
    per_round: u32,
    mut call: impl FnMut() -> F,
) -> Samples {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let start = Instant::now();
        for _ in 0..per_round {
            call().await;
        }
        times.push(start.elapsed() / per_round);
    }
    times.sort_unstable();
    Samples(times)
}

/// Calls per second by `writers` tasks of `each` calls, over several rounds: the median round.
pub(crate) async fn concurrent<F>(
    rounds: usize,
    writers: usize,
    each: usize,
    call: impl Fn(usize) -> F + Clone + Send + 'static,
) -> f64
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut rates = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        let tasks = (0..writers).map(|writer| {
            let call = call.clone();
            tokio::spawn(async move {
                for i in 0..each {
                    call((round * writers + writer) * each + i).await;
                }
            })
        });
        for task in tasks.collect::<Vec<_>>() {
            task.await.expect("the benchmark's task");
        }
        rates.push((writers * each) as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

/// Calls per second by threads, as [`concurrent`].
pub(crate) fn threads(
    rounds: usize,
    writers: usize,
    each: usize,
    call: impl Fn(usize) + Sync,
) -> f64 {
    let mut rates = Vec::new();
    for round in 0..rounds {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let call = &call;
                scope.spawn(move || {
                    for i in 0..each {
                        call((round * writers + writer) * each + i);
                    }
                });
            }
        });
        rates.push((writers * each) as f64 / start.elapsed().as_secs_f64());
    }
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}
