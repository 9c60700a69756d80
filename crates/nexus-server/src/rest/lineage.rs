//! Where contents come from, and what came of them.

use http::{HeaderMap, HeaderName};
use nexus_kernel::{Error, Result};

/// Where outside of the zone a content that is written comes from.
const SOURCE: HeaderName = HeaderName::from_static("x-nexus-source");

/// What a request says of where its content comes from.
pub(super) fn source(headers: &HeaderMap) -> Result<Option<String>> {
    let Some(value) = headers.get(SOURCE) else {
        return Ok(None);
    };
    let text = std::str::from_utf8(value.as_bytes()).map_err(|_| {
        Error::invalid("the name of a source is UTF-8; encode other bytes as in a URL")
            .with("header", SOURCE)
    })?;
    Ok(Some(text.to_owned()))
}
