//! The local [`Metastore`](nexus_kernel::Metastore): one redb file, one committer.
