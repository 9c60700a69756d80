//! Every setting: its name, its default and what it is for.

/// One setting. Its environment variable follows from its name.
pub(crate) struct Setting {
    /// As files and `config show` spell it; dots separate tables.
    pub name: &'static str,
    /// The value when none is given.
    pub default: &'static str,
    /// What it is for.
    pub doc: &'static str,
}

impl Setting {
    /// The environment variable: `log.level` is `NEXUS_LOG_LEVEL`.
    pub(crate) fn variable(&self) -> String {
        format!("NEXUS_{}", self.name.replace('.', "_").to_uppercase())
    }
}

macro_rules! settings {
    ($($(#[doc = $doc:literal])+ $id:ident: $name:literal = $default:literal;)+) => {
        $(
            $(#[doc = $doc])+
            pub(crate) const $id: Setting = Setting {
                name: $name,
                default: $default,
                doc: concat!($($doc),+).trim_ascii(),
            };
        )+

        /// All of them, in the order in which they are shown.
        pub(crate) const ALL: &[&Setting] = &[$(&$id),+];
    };
}

settings! {
    /// The folder this node keeps everything in. Made at the first start.
    DATA: "data" = "./nexus-data";
    /// Address and port to listen on, for HTTP and gRPC alike. Port 0 takes a free one.
    LISTEN: "listen" = "127.0.0.1:2026";
    /// Whether `listen` may be an address that other machines can reach.
    ALLOW_REMOTE: "allow_remote" = "false";
    /// Where names, attributes, history and small contents are kept: redb:FILE (without a
    /// file, in the data folder) or memory: (gone when the node stops).
    METASTORE: "metastore" = "redb:";
    /// Where larger contents are kept: local:FOLDER (without a folder, in the data folder)
    /// or memory: (gone when the node stops).
    OBJECT_STORE: "object_store" = "local:";
    /// Most memory for the metastore's pages.
    MEMORY_METASTORE: "memory.metastore" = "32MiB";
    /// Most memory for inodes and directory entries.
    MEMORY_METADATA: "memory.metadata" = "48MiB";
    /// Most memory for file content.
    MEMORY_CONTENT: "memory.content" = "64MiB";
    /// The hash that names content, blake3 or sha256. Settled when the data is created.
    CONTENT_HASH: "content.hash" = "blake3";
    /// Contents up to this size lie beside their metadata, at most 64KiB.
    CONTENT_INLINE_MAX: "content.inline_max" = "8KiB";
    /// Most memory for what is written to open files; beyond it, they become versions early.
    HANDLES_DRAFT_MAX: "handles.draft_max" = "64MiB";
    /// After so long, what is written to a file that stays open becomes a version by itself.
    HANDLES_DRAFT_AGE_MAX: "handles.draft_age_max" = "30s";
    /// Most change feeds at a time, over all protocols together. One key may have a quarter.
    FEEDS_MAX: "feeds.max" = "10000";
    /// How long the collector of history rests between two collections, from 1s to 24h. Each
    /// removes what the policies of retention let go, and snapshots that have expired.
    RETENTION_EVERY: "retention.every" = "10m";
    /// An empty directory to mount the zone on, for the programs of this machine. None if empty.
    MOUNT_DIRECTORY: "mount.directory" = "";
    /// Whether the mount refuses changes.
    MOUNT_READ_ONLY: "mount.read_only" = "false";
    /// Whether the kernel gathers writes to the mount: faster for many small ones, and only for
    /// a zone that nobody changes past the mount meanwhile.
    MOUNT_WRITE_CACHE: "mount.write_cache" = "false";
    /// For whom the mount's changes are made, user:ID or agent:ID, in the operation log. Nobody
    /// else if empty.
    MOUNT_AS: "mount.as" = "";
    /// Least severity that is logged: off, error, warn, info, debug or trace; also by part,
    /// as in info,nexus_fs=debug.
    LOG_LEVEL: "log.level" = "info";
    /// Form of log lines: text, json, or auto (text on a terminal, json otherwise).
    LOG_FORMAT: "log.format" = "auto";
    /// How long a shutdown waits for requests under way.
    SHUTDOWN_DEADLINE: "shutdown.deadline" = "10s";
}
