//! The table.

use std::fmt::Write as _;
use std::time::Duration;

#[derive(Default)]
pub(crate) struct Report(Vec<Row>);

struct Row {
    what: String,
    figure: String,
    baseline: String,
    ratio: Option<f64>,
    target: String,
    met: Option<bool>,
}

impl Report {
    /// Adds a figure beside its baseline; progress goes to the terminal at once.
    pub(crate) fn row(
        &mut self,
        what: impl Into<String>,
        figure: String,
        baseline: String,
        ratio: Option<f64>,
        target: &str,
        met: bool,
    ) {
        self.judged(what, figure, baseline, ratio, target, Some(met));
    }

    /// As [`row`](Self::row); `met` is none for a figure that only explains another.
    pub(crate) fn judged(
        &mut self,
        what: impl Into<String>,
        figure: String,
        baseline: String,
        ratio: Option<f64>,
        target: &str,
        met: Option<bool>,
    ) {
        let row = Row {
            what: what.into(),
            figure,
            baseline,
            ratio,
            target: target.into(),
            met,
        };
        eprintln!("{}: {} ({})", row.what, row.figure, row.baseline);
        self.0.push(row);
    }

    pub(crate) fn table(&self) -> String {
        let mut table = String::from(
            "| what | figure | baseline, same run | ratio | at least | met |\n\
             | --- | --- | --- | --- | --- | --- |\n",
        );
        for row in &self.0 {
            let ratio = row
                .ratio
                .map_or(String::new(), |ratio| format!("{ratio:.2}"));
            let met = row.met.map_or("", |met| if met { "yes" } else { "no" });
            let Row {
                what,
                figure,
                baseline,
                target,
                ..
            } = row;
            writeln!(
                table,
                "| {what} | {figure} | {baseline} | {ratio} | {target} | {met} |"
            )
            .expect("writing to a string");
        }
        table
    }

    pub(crate) fn json(&self) -> String {
        let rows = self.0.iter().map(|row| {
            let ratio = row
                .ratio
                .map_or("null".into(), |ratio| format!("{ratio:.4}"));
            let met = row.met.map_or("null".into(), |met| met.to_string());
            let Row {
                what,
                figure,
                baseline,
                target,
                ..
            } = row;
            format!(
                "{{\"what\":{what:?},\"figure\":{figure:?},\"baseline\":{baseline:?},\
                 \"ratio\":{ratio},\"target\":{target:?},\"met\":{met}}}"
            )
        });
        format!("[{}]", rows.collect::<Vec<_>>().join(",\n"))
    }
}

pub(crate) fn time(time: Duration) -> String {
    let micros = time.as_secs_f64() * 1e6;
    match micros {
        ..1.0 => format!("{:.0} ns", micros * 1e3),
        ..100.0 => format!("{micros:.1} us"),
        ..10_000.0 => format!("{micros:.0} us"),
        _ => format!("{:.1} ms", micros / 1e3),
    }
}

pub(crate) fn rate(per_second: f64) -> String {
    format!("{per_second:.0}/s")
}
