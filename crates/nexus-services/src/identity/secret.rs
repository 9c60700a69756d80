//! Secrets: `sk-<public id>-<256 random bits>`, both in hexadecimal.
//!
//! Only a BLAKE3 hash of a secret is kept. A slow hash such as argon2 protects passwords,
//! which can be guessed; 256 random bits cannot, and a slow hash would cost every request
//! milliseconds.

use nexus_service_api::Entropy;

const MARK: &str = "sk-";
const ID_BYTES: usize = 6;
const RANDOM_BYTES: usize = 32;
const ID_END: usize = MARK.len() + 2 * ID_BYTES;
const LENGTH: usize = ID_END + 1 + 2 * RANDOM_BYTES;

/// The text of a secret, of the right form.
pub(super) struct Secret<T = String>(T);

impl Secret {
    /// A new one.
    pub(super) fn random(entropy: &dyn Entropy) -> Self {
        let (mut id, mut random) = ([0; ID_BYTES], [0; RANDOM_BYTES]);
        entropy.fill(&mut id);
        entropy.fill(&mut random);
        Self(format!("{MARK}{}-{}", hex::encode(id), hex::encode(random)))
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

impl<'a> Secret<&'a str> {
    /// The secret in `text`, if it has the form of one.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let bytes = text.as_bytes();
        let form = bytes.len() == LENGTH && text.starts_with(MARK) && bytes[ID_END] == b'-';
        (form && is_key_id(text.get(MARK.len()..ID_END)?)).then_some(Self(text))
    }
}

impl<T: AsRef<str>> Secret<T> {
    /// The public part.
    pub(super) fn key_id(&self) -> &str {
        &self.0.as_ref()[MARK.len()..ID_END]
    }

    /// What is kept of it.
    pub(super) fn hash(&self) -> blake3::Hash {
        blake3::hash(self.0.as_ref().as_bytes())
    }
}

/// Whether a text has the form of a public id.
pub(super) fn is_key_id(text: &str) -> bool {
    text.len() == 2 * ID_BYTES && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
