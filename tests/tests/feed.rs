//! The change feed of a real node: through every door, over connections that break, and over
//! nodes that are killed.

mod broken;
mod commands;
mod kills;
