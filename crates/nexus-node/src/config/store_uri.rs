//! Names of stores.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A store by URI: a scheme that names the driver, and the rest, which the driver reads.
///
/// ```
/// # use nexus_node::StoreUri;
/// let uri: StoreUri = "redb:/srv/nexus/meta".parse().unwrap();
/// assert_eq!(uri.scheme(), "redb");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct StoreUri {
    scheme: String,
    rest: String,
}

impl StoreUri {
    /// The driver's name.
    #[must_use]
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The rest as a path in the local file system, `default` when there is none.
    /// `redb:PATH` and `redb://PATH` mean the same.
    #[must_use]
    pub fn path_or(&self, default: &Path) -> PathBuf {
        match self.rest.strip_prefix("//").unwrap_or(&self.rest) {
            "" => default.to_owned(),
            path => path.into(),
        }
    }
}

impl FromStr for StoreUri {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b);
        match text.split_once(':') {
            Some((scheme, rest)) if !scheme.is_empty() && scheme.bytes().all(legal) => Ok(Self {
                scheme: scheme.to_owned(),
                rest: rest.to_owned(),
            }),
            _ => Err(
                "a store is named by its kind, a colon and its place, like redb:./data or memory:",
            ),
        }
    }
}

impl fmt::Display for StoreUri {
    /// Passwords are masked.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&super::show::mask(&format!(
            "{}:{}",
            self.scheme, self.rest
        )))
    }
}

impl fmt::Debug for StoreUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
