//! A key as it is stored.

use bytes::Bytes;
use nexus_kernel::{Error, Result, Timestamp};
use nexus_service_api::{KeyInfo, Principal, PrincipalKind, Revocation, Rights};
use prost::Message as _;

/// A key and the hash of its secret.
#[derive(Clone, Debug)]
pub(super) struct Record {
    pub(super) info: KeyInfo,
    pub(super) hash: blake3::Hash,
}

/// The layout this build reads and writes.
const VERSION: u32 = 1;

#[derive(Clone, PartialEq, prost::Message)]
struct Message {
    #[prost(uint32, tag = "1")]
    version: u32,
    #[prost(bytes = "bytes", tag = "2")]
    hash: Bytes,
    #[prost(string, tag = "3")]
    name: String,
    #[prost(string, tag = "4")]
    kind: String,
    #[prost(string, tag = "5")]
    id: String,
    #[prost(string, tag = "6")]
    zone: String,
    #[prost(string, tag = "7")]
    rights: String,
    #[prost(string, optional, tag = "8")]
    prefix: Option<String>,
    #[prost(sfixed64, tag = "9")]
    created: i64,
    #[prost(sfixed64, optional, tag = "10")]
    expires: Option<i64>,
    #[prost(sfixed64, optional, tag = "11")]
    revoked: Option<i64>,
}

impl Record {
    /// When the key ended, if it has by `now`.
    pub(super) fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        let expired = self.info.expires.filter(|end| *end <= now);
        [self.info.revoked, expired].into_iter().flatten().min()
    }

    /// Whether it is in force, manages the zone, and will for as long as nobody changes it.
    pub(super) fn is_lasting_admin(&self) -> bool {
        let info = &self.info;
        info.rights == Rights::Admin && info.revoked.is_none() && info.expires.is_none()
    }

    /// Whoever comes with it.
    pub(super) fn principal(&self, revocation: Revocation) -> Principal {
        let info = &self.info;
        Principal {
            kind: info.kind,
            id: info.id.clone(),
            key_id: Some(info.key_id.clone()),
            zone: info.zone.clone(),
            rights: info.rights,
            prefix: info.prefix.clone(),
            expires: info.expires,
            revocation,
        }
    }

    pub(super) fn encode(&self) -> Bytes {
        let info = &self.info;
        let message = Message {
            version: VERSION,
            hash: Bytes::copy_from_slice(self.hash.as_bytes()),
            name: info.name.clone(),
            kind: info.kind.as_str().to_owned(),
            id: info.id.clone(),
            zone: info.zone.clone(),
            rights: info.rights.as_str().to_owned(),
            prefix: info.prefix.clone(),
            created: info.created.0,
            expires: info.expires.map(|at| at.0),
            revoked: info.revoked.map(|at| at.0),
        };
        message.encode_to_vec().into()
    }

    /// Reads a record back.
    ///
    /// # Errors
    ///
    /// `Unsupported` for the record of a newer version, `Corrupt` for anything else that is
    /// not what [`encode`](Self::encode) wrote.
    pub(super) fn decode(key_id: &str, bytes: &[u8]) -> Result<Self> {
        let message = Message::decode(bytes).map_err(|error| corrupt(key_id).because(error))?;
        if message.version > VERSION {
            return Err(Error::unsupported(
                "a key was written by a newer Nexus; run that version on this data",
            )
            .with("key", key_id)
            .with("version", message.version));
        }
        Self::from_message(key_id, message).ok_or_else(|| corrupt(key_id))
    }

    fn from_message(key_id: &str, message: Message) -> Option<Self> {
        let info = KeyInfo {
            key_id: key_id.to_owned(),
            kind: kind(&message.kind)?,
            rights: message.rights.parse().ok()?,
            name: message.name,
            id: message.id,
            zone: message.zone,
            prefix: message.prefix,
            created: Timestamp(message.created),
            expires: message.expires.map(Timestamp),
            revoked: message.revoked.map(Timestamp),
        };
        let hash = blake3::Hash::from_slice(&message.hash).ok()?;
        Some(Self { info, hash })
    }
}

fn kind(name: &str) -> Option<PrincipalKind> {
    [PrincipalKind::User, PrincipalKind::Agent]
        .into_iter()
        .find(|kind| kind.as_str() == name)
}

fn corrupt(key_id: &str) -> Error {
    Error::corrupt("a stored key cannot be read; restore the metastore from a copy")
        .with("key", key_id.escape_debug())
}
