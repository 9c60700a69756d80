//! Bytes as text: the standard alphabet, padded.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;

pub(crate) fn encode(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

/// The bytes, or why they cannot be read.
pub(crate) fn decode(text: &str) -> Result<Bytes, String> {
    STANDARD
        .decode(text)
        .map(Bytes::from)
        .map_err(|error| format!("this is not base64: {error}"))
}
