//! What the command's exit status says.

use std::process::ExitCode;

use nexus_client::Kind;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Ok,
    /// Not done, for a reason without its own number; `grep`: nothing matched.
    Failure,
    /// The command was not understood, or asks for what there is not.
    Usage,
    /// What it names does not exist.
    NotFound,
    /// Things are not as the command needs them: a stale etag, a name taken, a directory not empty.
    Conflict,
    /// No valid key, or not allowed with it.
    Denied,
    /// A limit was reached: a size, a count, a full disk.
    Limit,
    /// The node cannot be reached, or failed.
    Unavailable,
    /// Data is not what was written.
    Corrupt,
    /// As the command that it ran.
    Of(u8),
}

impl Exit {
    /// The table for people.
    pub(crate) const HELP: &str = "\
Exit status:
  0 done · 1 failure (grep: no match) · 2 wrong usage · 3 not found · 4 conflict (stale etag,
  name taken, not empty) · 5 no key or not allowed · 6 limit or full disk · 7 node unreachable
  · 8 corrupt data";
}

impl From<Kind> for Exit {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::NotFound => Self::NotFound,
            Kind::AlreadyExists | Kind::Conflict | Kind::NotEmpty | Kind::WrongType => {
                Self::Conflict
            }
            Kind::InvalidArgument | Kind::Unsupported => Self::Usage,
            Kind::Unauthenticated | Kind::PermissionDenied => Self::Denied,
            Kind::LimitExceeded => Self::Limit,
            Kind::Unavailable => Self::Unavailable,
            Kind::Corrupt => Self::Corrupt,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Ok => 0,
            Exit::Failure => 1,
            Exit::Usage => 2,
            Exit::NotFound => 3,
            Exit::Conflict => 4,
            Exit::Denied => 5,
            Exit::Limit => 6,
            Exit::Unavailable => 7,
            Exit::Corrupt => 8,
            Exit::Of(code) => code,
        })
    }
}
