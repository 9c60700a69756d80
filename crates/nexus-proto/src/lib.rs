//! The gRPC interface. Its documentation is in `proto/nexus/v1`.

/// Version 1.
pub mod v1 {
    #![expect(
        clippy::allow_attributes_without_reason,
        clippy::too_many_lines,
        reason = "generated code"
    )]
    tonic::include_proto!("nexus.v1");
}

/// The interface as an encoded `google.protobuf.FileDescriptorSet`, for whoever must list its
/// services and methods.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
