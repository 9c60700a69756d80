//! Generates the interface with a protobuf compiler written in Rust, so that no system
//! `protoc` is needed.

use std::error::Error;
use std::path::Path;

use prost::Message;

const ROOT: &str = "../../proto";
const FILES: &[&str] = &[
    "nexus/v1/types.proto",
    "nexus/v1/files.proto",
    "nexus/v1/inodes.proto",
    "nexus/v1/admin.proto",
    "nexus/v1/locks.proto",
    "nexus/v1/archive.proto",
    "nexus/v1/compare.proto",
    "nexus/v1/feed.proto",
    "nexus/v1/snapshots.proto",
    "nexus/v1/retention.proto",
    "nexus/v1/workspaces.proto",
    "nexus/v1/undo.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::compile(FILES, [ROOT])?;
    let out = std::env::var_os("OUT_DIR").ok_or("cargo sets OUT_DIR")?;
    std::fs::write(
        Path::new(&out).join("descriptors.bin"),
        descriptors.encode_to_vec(),
    )?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
