//! The contract suite of [`Metastore`](nexus_kernel::Metastore) and stores that misbehave on purpose.
