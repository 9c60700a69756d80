//! One figure of each subject, and what it should reach.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Bench;
use crate::report::{rate, time};

/// The same of each subject.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Each<T> {
    pub ext4: T,
    pub memory: T,
    pub nexus: T,
}

/// What a time should reach.
#[derive(Clone, Copy)]
pub(super) enum AtMost {
    Time(Duration),
    TimesExt4(f64),
    TimesMemory(f64),
    /// Both.
    TimeAndTimesExt4(Duration, f64),
    /// It is shown to explain another.
    Anything,
}

/// What a rate should reach.
#[derive(Clone, Copy)]
pub(super) enum AtLeast {
    Rate(f64),
    TimesExt4(f64),
    Anything,
}

impl Bench<'_> {
    /// For what takes seconds: half as often, and an odd number, so that one is the median.
    pub(super) fn long_rounds(&self) -> usize {
        self.rounds.div_ceil(2) | 1
    }

    /// Does it with each subject in turn, and again in each round.
    pub(super) fn rounds<T>(
        &mut self,
        rounds: usize,
        mut measure: impl FnMut(&Path, usize) -> Result<T>,
    ) -> Result<Each<Vec<T>>> {
        let mut all = Each {
            ext4: Vec::new(),
            memory: Vec::new(),
            nexus: Vec::new(),
        };
        for round in 0..rounds {
            self.subjects.check_goes_on()?;
            all.ext4.push(measure(&self.subjects.ext4, round)?);
            all.memory
                .push(measure(self.subjects.memory.root(), round)?);
            all.nexus.push(measure(self.subjects.nexus.root(), round)?);
        }
        Ok(all)
    }

    pub(super) fn time_row(&mut self, what: &str, of: Each<Duration>, most: AtMost) {
        let seconds = of.map(|time| time.as_secs_f64());
        let beside_ext4 = seconds.nexus / seconds.ext4;
        let beside_memory = seconds.nexus / seconds.memory;
        let (ratio, target, met) = match most {
            AtMost::Time(most) => (
                beside_ext4,
                format!("<= {}", time(most)),
                Some(of.nexus <= most),
            ),
            AtMost::TimesExt4(most) => (
                beside_ext4,
                format!("<= {most} of ext4"),
                Some(beside_ext4 <= most),
            ),
            AtMost::TimesMemory(most) => (
                beside_memory,
                format!("<= {most} of memory"),
                Some(beside_memory <= most),
            ),
            AtMost::TimeAndTimesExt4(limit, most) => (
                beside_ext4,
                format!("<= {}, <= {most} of ext4", time(limit)),
                Some(of.nexus <= limit && beside_ext4 <= most),
            ),
            AtMost::Anything => (beside_ext4, String::new(), None),
        };
        let baseline = format!("ext4 {}, memory {}", time(of.ext4), time(of.memory));
        self.report
            .judged(what, time(of.nexus), baseline, Some(ratio), &target, met);
    }

    pub(super) fn rate_row(&mut self, what: &str, of: Each<f64>, unit: Unit, least: AtLeast) {
        let ratio = of.nexus / of.ext4;
        let (target, met) = match least {
            AtLeast::Rate(least) => (format!(">= {}", unit.show(least)), Some(of.nexus >= least)),
            AtLeast::TimesExt4(least) => (format!(">= {least} of ext4"), Some(ratio >= least)),
            AtLeast::Anything => (String::new(), None),
        };
        let baseline = format!(
            "ext4 {}, memory {}",
            unit.show(of.ext4),
            unit.show(of.memory)
        );
        let figure = unit.show(of.nexus);
        self.report
            .judged(what, figure, baseline, Some(ratio), &target, met);
    }
}

#[derive(Clone, Copy)]
pub(super) enum Unit {
    Calls,
    Mib,
}

impl Unit {
    fn show(self, per_second: f64) -> String {
        match self {
            Self::Calls => rate(per_second),
            Self::Mib => format!("{per_second:.0} MiB/s"),
        }
    }
}

impl<T> Each<T> {
    pub(super) fn map<U>(self, mut of: impl FnMut(T) -> U) -> Each<U> {
        Each {
            ext4: of(self.ext4),
            memory: of(self.memory),
            nexus: of(self.nexus),
        }
    }
}

impl Each<Vec<Duration>> {
    pub(super) fn medians(self) -> Each<Duration> {
        self.map(median)
    }
}

impl Each<Vec<Vec<Duration>>> {
    /// Over the samples of all rounds.
    pub(super) fn p50(&self) -> Each<Duration> {
        let of = |rounds: &Vec<Vec<Duration>>| median(rounds.concat());
        Each {
            ext4: of(&self.ext4),
            memory: of(&self.memory),
            nexus: of(&self.nexus),
        }
    }

    /// Calls per second of one thread that does nothing else, in the median round.
    pub(super) fn rates(self) -> Each<f64> {
        let of = |round: Vec<Duration>| {
            round.len() as f64 / round.iter().sum::<Duration>().as_secs_f64()
        };
        self.map(|rounds| median_rate(rounds.into_iter().map(of).collect()))
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

pub(super) fn median_rate(mut rates: Vec<f64>) -> f64 {
    rates.sort_unstable_by(f64::total_cmp);
    rates[rates.len() / 2]
}

pub(super) fn timed(work: impl FnOnce() -> Result<()>) -> Result<Duration> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed())
}

/// The times of single calls.
pub(super) fn each_timed(
    count: usize,
    mut call: impl FnMut(usize) -> Result<()>,
) -> Result<Vec<Duration>> {
    (0..count).map(|i| timed(|| call(i))).collect()
}
