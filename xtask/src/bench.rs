//! Figures of the whole, beside their baselines.

use anyhow::Result;

use crate::shell::{Cargo, run as command};

/// Builds the node and the benchmark for speed, then measures. The first argument may be the
/// one group to measure: `bench mount` is `bench --only mount`.
pub(crate) fn run(cargo: Cargo, arguments: &[String]) -> Result<()> {
    cargo.run("build --release -p nexus-node -p nexus-bench")?;
    let group = arguments.first().filter(|first| !first.starts_with('-'));
    let only = group.map(|_| "--only".to_owned());
    command("target/release/nexus-bench", only.iter().chain(arguments))
}
