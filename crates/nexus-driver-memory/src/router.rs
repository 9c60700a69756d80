//! [`VfsRouter`](nexus_kernel::VfsRouter) in a `BTreeMap`.
