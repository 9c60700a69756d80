//! Generates the interface with a protobuf compiler written in Rust, so that no system
//! `protoc` is needed.

use std::error::Error;

const ROOT: &str = "../../proto";
const FILES: [&str; 3] = [
    "nexus/v1/types.proto",
    "nexus/v1/files.proto",
    "nexus/v1/admin.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={ROOT}");
    let descriptors = protox::compile(FILES, [ROOT])?;
    tonic_prost_build::configure()
        .bytes(".")
        .compile_fds(descriptors)?;
    Ok(())
}
