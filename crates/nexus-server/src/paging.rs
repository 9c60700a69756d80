//! How much one page of an answer holds.

use nexus_fs::ListOptions;
use nexus_kernel::{Error, Result};

/// What a page holds if nobody says.
const PAGE_LIMIT: usize = 1_000;

/// The page size that a caller asks for, 0 and none being the default.
pub(crate) fn page_limit(asked: Option<usize>) -> Result<usize> {
    match asked {
        None | Some(0) => Ok(PAGE_LIMIT),
        Some(limit) if limit <= ListOptions::LIMIT_MAX => Ok(limit),
        Some(limit) => Err(
            Error::limit("a page has at most 10,000 entries; ask for several").with("limit", limit),
        ),
    }
}
