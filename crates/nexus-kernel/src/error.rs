//! One error type for every layer.

use std::borrow::Cow;
use std::fmt;

/// `Result` with the kernel's [`Error`].
pub type Result<T, E = Error> = std::result::Result<T, E>;

type Source = Box<dyn std::error::Error + Send + Sync + 'static>;

/// What went wrong, as far as a program needs to know in order to act. Doors map each
/// kind to a status of their protocol in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// The thing named does not exist.
    NotFound,
    /// The thing to be created exists.
    AlreadyExists,
    /// A file where a directory is needed, or the reverse.
    WrongType,
    /// A directory that must be empty is not.
    NotEmpty,
    /// The request itself is malformed; sent again it will fail again.
    InvalidArgument,
    /// No valid credential came with the request.
    Unauthenticated,
    /// The caller is known and may not do this.
    PermissionDenied,
    /// The state is not what the caller asserted (a stale etag, a lost race).
    Conflict,
    /// A limit was reached: a size, a count, a quota, a full disk.
    LimitExceeded,
    /// This driver, mode or build does not offer the operation.
    Unsupported,
    /// A store or peer failed or cannot be reached; trying again may help.
    Unavailable,
    /// Stored data is not what was written.
    Corrupt,
}

impl Kind {
    /// The kind's name as doors and logs print it, in `snake_case`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::WrongType => "wrong_type",
            Self::NotEmpty => "not_empty",
            Self::InvalidArgument => "invalid_argument",
            Self::Unauthenticated => "unauthenticated",
            Self::PermissionDenied => "permission_denied",
            Self::Conflict => "conflict",
            Self::LimitExceeded => "limit_exceeded",
            Self::Unsupported => "unsupported",
            Self::Unavailable => "unavailable",
            Self::Corrupt => "corrupt",
        }
    }
}

/// Whether a failed mutation may have taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Nothing changed.
    NotApplied,
    /// The change may or may not have happened, or may still happen. Read before you retry, or retry
    /// with the same transaction id.
    Unknown,
}

/// What failed, on what, why, and what to do about it.
///
/// The message and the context are meant for whoever made the request; [`source`] holds
/// inside detail and is for logs only.
///
/// [`source`]: std::error::Error::source
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    outcome: Outcome,
    message: Cow<'static, str>,
    context: Vec<(&'static str, String)>,
    source: Option<Source>,
}

impl Error {
    /// An error of `kind` that changed nothing. `message` says why and what to do next.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Inner {
            kind,
            outcome: Outcome::NotApplied,
            message: message.into(),
            context: Vec::new(),
            source: None,
        }))
    }

    /// Adds a named fact: the path, the key, the limit.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.0.context.push((name, value.to_string()));
        self
    }

    /// Attaches the cause, for logs.
    #[must_use]
    pub fn because(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Marks the change as possibly applied.
    #[must_use]
    pub fn outcome_unknown(mut self) -> Self {
        self.0.outcome = Outcome::Unknown;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// Whether the change may have happened.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.outcome
    }

    /// The sentence for the person who reads it, without the context.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// Every named fact, in the order they were added.
    #[must_use]
    pub fn context(&self) -> &[(&'static str, String)] {
        &self.0.context
    }

    /// The first fact of that name.
    #[must_use]
    pub fn fact(&self, name: &str) -> Option<&str> {
        let found = self.0.context.iter().find(|(key, _)| *key == name);
        found.map(|(_, value)| value.as_str())
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)?;
        for (i, (name, value)) in self.0.context.iter().enumerate() {
            let lead = if i == 0 { " (" } else { ", " };
            write!(f, "{lead}{name}: {value}")?;
        }
        if !self.0.context.is_empty() {
            f.write_str(")")?;
        }
        if self.0.outcome == Outcome::Unknown {
            f.write_str("; the change may have been applied")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}] {self}", self.0.kind.as_str())?;
        if let Some(source) = &self.0.source {
            write!(f, ": {source:?}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

macro_rules! shorthand {
    ($($name:ident => $kind:ident),* $(,)?) => {
        impl Error {
            $(
                #[doc = concat!("An error of kind [`Kind::", stringify!($kind), "`].")]
                #[must_use]
                pub fn $name(message: impl Into<Cow<'static, str>>) -> Self {
                    Self::new(Kind::$kind, message)
                }
            )*
        }
    };
}

shorthand! {
    not_found => NotFound,
    already_exists => AlreadyExists,
    wrong_type => WrongType,
    not_empty => NotEmpty,
    invalid => InvalidArgument,
    unauthenticated => Unauthenticated,
    denied => PermissionDenied,
    conflict => Conflict,
    limit => LimitExceeded,
    unsupported => Unsupported,
    unavailable => Unavailable,
    corrupt => Corrupt,
}
