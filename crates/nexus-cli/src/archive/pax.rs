//! PAX records: `<length> <key>=<value>\n`, the length counting the whole record.

use nexus_client::{Error, Result, Timestamp};

use super::damaged;

/// Records on their way into an extended header.
#[derive(Default)]
pub(super) struct Records(Vec<u8>);

impl Records {
    pub(super) fn push(&mut self, key: &str, value: impl AsRef<[u8]>) {
        let value = value.as_ref();
        let rest = key.len() + value.len() + 3;
        let mut length = rest + 1;
        while length != rest + digits(length) {
            length = rest + digits(length);
        }
        self.0
            .extend_from_slice(format!("{length} {key}=").as_bytes());
        self.0.extend_from_slice(value);
        self.0.push(b'\n');
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

fn digits(number: usize) -> usize {
    number.to_string().len()
}

/// The records of an extended header, in order.
pub(super) fn parse(mut bytes: &[u8]) -> Result<Vec<(&str, &[u8])>> {
    let mut records = Vec::new();
    while !bytes.is_empty() {
        let (record, rest) = split_record(bytes).ok_or_else(malformed)?;
        records.push(record);
        bytes = rest;
    }
    Ok(records)
}

/// A key, its value, and what follows.
type Split<'a> = ((&'a str, &'a [u8]), &'a [u8]);

fn split_record(bytes: &[u8]) -> Option<Split<'_>> {
    let space = bytes.iter().position(|&b| b == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let record = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = record.iter().position(|&b| b == b'=')?;
    let key = std::str::from_utf8(&record[..equals]).ok()?;
    Some(((key, &record[equals + 1..]), &bytes[length..]))
}

fn malformed() -> Error {
    damaged("a header of the archive is malformed; copy or export it again")
}

/// A value that must be text.
pub(super) fn text(value: &[u8]) -> Result<String> {
    String::from_utf8(value.to_vec())
        .map_err(|_| Error::invalid("a name in the archive is not UTF-8; nexus stores UTF-8 names"))
}

/// A value that must be a number.
pub(super) fn number(value: &[u8]) -> Result<u64> {
    std::str::from_utf8(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(malformed)
}

/// A time as decimal seconds.
pub(super) fn format_time(time: Timestamp) -> String {
    let sign = if time.0 < 0 { "-" } else { "" };
    let nanos = time.0.unsigned_abs();
    format!(
        "{sign}{}.{:09}",
        nanos / 1_000_000_000,
        nanos % 1_000_000_000
    )
}

/// Reads decimal seconds.
pub(super) fn parse_time(value: &[u8]) -> Result<Timestamp> {
    let parsed = std::str::from_utf8(value).ok().and_then(|text| {
        let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
        let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
        let fraction = fraction.get(..9).unwrap_or(fraction);
        let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
        let nanos = i128::from(seconds.parse::<u64>().ok()?) * 1_000_000_000 + i128::from(nanos);
        i64::try_from(sign * nanos).ok().map(Timestamp)
    });
    parsed.ok_or_else(malformed)
}

/// A metadata key as it may stand before the `=` of a record, the way GNU tar writes it.
pub(super) fn escape_key(key: &str) -> String {
    key.replace('%', "%25").replace('=', "%3D")
}

/// The key that [`escape_key`] wrote.
pub(super) fn unescape_key(key: &str) -> String {
    key.replace("%3D", "=").replace("%25", "%")
}
