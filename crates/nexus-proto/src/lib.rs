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
