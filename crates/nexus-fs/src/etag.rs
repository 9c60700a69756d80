//! Content hashes.

use std::fmt;
use std::str::FromStr;

use nexus_kernel::{Error, Result};
use sha2::Digest as _;

/// Which hash names content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HashAlgorithm {
    /// BLAKE3, 256 bits: the default, several GiB/s on one core.
    #[default]
    Blake3,
    /// SHA-256, for zones whose rules ask for it.
    Sha256,
}

impl HashAlgorithm {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Blake3 => "b3-",
            Self::Sha256 => "sha256-",
        }
    }
}

/// The hash of a content, and which hash it is. Equal contents of a zone have equal etags.
///
/// Written `b3-<64 hex digits>` or `sha256-<64 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Etag {
    /// Which hash.
    pub algorithm: HashAlgorithm,
    /// Its 256 bits.
    pub hash: [u8; 32],
}

impl Etag {
    /// The etag of `bytes`.
    #[must_use]
    pub fn of(algorithm: HashAlgorithm, bytes: &[u8]) -> Self {
        let hash = match algorithm {
            HashAlgorithm::Blake3 => *blake3::hash(bytes).as_bytes(),
            HashAlgorithm::Sha256 => sha2::Sha256::digest(bytes).into(),
        };
        Self { algorithm, hash }
    }
}

impl fmt::Display for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut digits = [0; 64];
        hex::encode_to_slice(self.hash, &mut digits).expect("32 bytes are 64 digits");
        f.write_str(self.algorithm.prefix())?;
        f.write_str(std::str::from_utf8(&digits).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Etag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Etag {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        for algorithm in [HashAlgorithm::Blake3, HashAlgorithm::Sha256] {
            let Some(digits) = text.strip_prefix(algorithm.prefix()) else {
                continue;
            };
            let mut hash = [0; 32];
            if hex::decode_to_slice(digits, &mut hash).is_ok() {
                return Ok(Self { algorithm, hash });
            }
        }
        Err(Error::invalid(
            "an etag is b3- or sha256- followed by 64 hex digits; take it from a read or stat",
        )
        .with(
            "etag",
            text.chars().take(80).collect::<String>().escape_debug(),
        ))
    }
}

/// Hashes a content that arrives in pieces.
#[derive(Clone, Debug)]
pub enum Hasher {
    /// BLAKE3.
    Blake3(Box<blake3::Hasher>),
    /// SHA-256.
    Sha256(sha2::Sha256),
}

impl Hasher {
    /// An empty content.
    #[must_use]
    pub fn new(algorithm: HashAlgorithm) -> Self {
        match algorithm {
            HashAlgorithm::Blake3 => Self::Blake3(Box::default()),
            HashAlgorithm::Sha256 => Self::Sha256(sha2::Sha256::new()),
        }
    }

    /// Adds the next piece.
    pub fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Blake3(hasher) => {
                hasher.update(bytes);
            }
            Self::Sha256(hasher) => hasher.update(bytes),
        }
    }

    /// The etag of everything added.
    #[must_use]
    pub fn finish(self) -> Etag {
        match self {
            Self::Blake3(h) => Etag {
                algorithm: HashAlgorithm::Blake3,
                hash: *h.finalize().as_bytes(),
            },
            Self::Sha256(h) => Etag {
                algorithm: HashAlgorithm::Sha256,
                hash: h.finalize().into(),
            },
        }
    }
}
