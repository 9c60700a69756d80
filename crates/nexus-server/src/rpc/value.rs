//! Typed values: bytes and times in JSON.

use std::borrow::Cow;
use std::fmt;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use nexus_fs::At;
use nexus_fs::time::format_rfc3339;
use nexus_kernel::Timestamp;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Serialize, Serializer};

use super::error::RpcError;

/// Bytes in an answer.
pub(super) struct TypedBytes(pub(super) Bytes);

impl Serialize for TypedBytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        struct Base64<'a>(&'a [u8]);
        impl Serialize for Base64<'_> {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&Base64Display::new(self.0, &STANDARD))
            }
        }
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("__type__", "bytes")?;
        map.serialize_entry("data", &Base64(&self.0))?;
        map.end()
    }
}

/// A time in an answer.
#[derive(Clone, Copy)]
pub(super) struct TypedTime(pub(super) Timestamp);

impl Serialize for TypedTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("__type__", "datetime")?;
        map.serialize_entry("data", &iso8601(self.0))?;
        map.end()
    }
}

/// A time as every version of Python reads it: microseconds, and an offset in digits.
pub(super) fn iso8601(time: Timestamp) -> String {
    let text = format_rfc3339(time);
    let text = text.trim_end_matches('Z');
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    format!("{seconds}.{fraction:0<6.6}+00:00")
}

/// Which state a call reads: a point as text; the latest where it is left out.
#[derive(Clone, Default)]
pub(super) struct Point(pub(super) At);

impl<'de> Deserialize<'de> for Point {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<Cow<'_, str>>::deserialize(deserializer)?;
        let point = text.map_or(Ok(At::Latest), |text| text.parse());
        point.map(Self).map_err(D::Error::custom)
    }
}

/// Bytes in a call: a typed value, or text.
pub(super) enum Content {
    Text(String),
    Bytes(Bytes),
}

impl Content {
    /// The bytes; a text is UTF-8 unless the call says that it is base64.
    pub(super) fn decode(self, encoding: Option<&str>) -> Result<Bytes, RpcError> {
        match (self, encoding) {
            (Self::Bytes(bytes), _) => Ok(bytes),
            (Self::Text(text), None | Some("utf-8" | "utf8")) => Ok(text.into()),
            (Self::Text(text), Some("base64")) => {
                crate::base64::decode(&text).map_err(RpcError::bad_params)
            }
            (Self::Text(_), Some(_)) => Err(RpcError::bad_params(
                "an encoding is \"base64\" or \"utf-8\"",
            )),
        }
    }
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ContentVisitor)
    }
}

struct ContentVisitor;

impl<'de> Visitor<'de> for ContentVisitor {
    type Value = Content;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, or {\"__type__\": \"bytes\", \"data\": base64}")
    }

    fn visit_str<E>(self, text: &str) -> Result<Content, E> {
        Ok(Content::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Content, E> {
        Ok(Content::Text(text))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Content, A::Error> {
        let (mut is_bytes, mut data) = (false, None);
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            match &*key {
                "__type__" => is_bytes = map.next_value::<Cow<'_, str>>()? == "bytes",
                "data" => data = Some(map.next_value::<Cow<'_, str>>()?),
                _ => drop(map.next_value::<serde::de::IgnoredAny>()?),
            }
        }
        match data {
            Some(data) if is_bytes => crate::base64::decode(&data)
                .map(Content::Bytes)
                .map_err(A::Error::custom),
            _ => Err(A::Error::custom(
                "bytes are {\"__type__\": \"bytes\", \"data\": base64}",
            )),
        }
    }
}

/// Content in pieces: one value, or a list of them.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Chunks {
    Many(Vec<Content>),
    One(Content),
}

impl Chunks {
    pub(super) fn decode(self) -> Result<Bytes, RpcError> {
        match self {
            Self::One(content) => content.decode(None),
            Self::Many(contents) => {
                let mut whole = Vec::new();
                for content in contents {
                    whole.extend_from_slice(&content.decode(None)?);
                }
                Ok(whole.into())
            }
        }
    }
}

#[cfg(test)]
mod tests;
