//! What cursors are called.

use std::fmt;
use std::str::FromStr;

use nexus_kernel::{Error, Result};
use nexus_service_api::parse_actor;

use crate::path::shown;

/// Most bytes in the name of a cursor.
pub const CURSOR_NAME_BYTES_MAX: usize = 128;

/// A cursor, by its name and the principal it belongs to.
///
/// Written `indexer` for one of the caller's own, `agent:crawler/indexer` for another's. A name has
/// 1 to 128 ASCII letters, digits, dots, dashes and underscores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CursorName {
    /// As `kind:id`; none for the caller.
    pub(super) owner: Option<String>,
    pub(super) name: String,
}

impl CursorName {
    /// One of the caller's own.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for what is no name.
    pub fn own(name: &str) -> Result<Self> {
        if is_name(name) {
            return Ok(Self {
                owner: None,
                name: name.to_owned(),
            });
        }
        Err(Error::invalid(
            "the name of a cursor has 1 to 128 ASCII letters, digits, dots, dashes and underscores",
        )
        .with("name", shown(name)))
    }
}

pub(super) fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    (1..=CURSOR_NAME_BYTES_MAX).contains(&text.len()) && text.bytes().all(allowed)
}

impl FromStr for CursorName {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let Some((owner, name)) = text.rsplit_once('/') else {
            return Self::own(text);
        };
        let owner = match owner {
            "system:system" => owner.to_owned(),
            owner => parse_actor(owner)?.to_string(),
        };
        Ok(Self {
            owner: Some(owner),
            ..Self::own(name)?
        })
    }
}

impl fmt::Display for CursorName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.owner {
            Some(owner) => write!(f, "{owner}/{}", self.name),
            None => f.write_str(&self.name),
        }
    }
}
