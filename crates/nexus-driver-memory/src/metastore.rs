//! [`Metastore`](nexus_kernel::Metastore) in a `BTreeMap`.
