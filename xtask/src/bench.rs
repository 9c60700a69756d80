//! Figures of the whole, beside their baselines.

use anyhow::Result;

use crate::shell::{Cargo, run as command};

/// Builds the node and the benchmark for speed, then measures.
pub(crate) fn run(cargo: Cargo, arguments: &[String]) -> Result<()> {
    cargo.run("build --release -p nexus-node -p nexus-bench")?;
    command("target/release/nexus-bench", arguments)
}
