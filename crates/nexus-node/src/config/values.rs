//! What the text of a setting means. Each error says what would be right.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use nexus_fs::HashAlgorithm;
use nexus_service_api::parse_actor;
use tracing_subscriber::filter::{LevelFilter, Targets};

use super::LogFormat;

type Parsed<T> = Result<T, &'static str>;

/// A value with its metadata has to fit into one metastore value with room to spare.
const INLINE_BYTES_MAX: usize = 64 << 10;

pub(super) fn path(text: &str) -> Parsed<PathBuf> {
    if text.is_empty() {
        Err("name a folder")
    } else {
        Ok(text.into())
    }
}

/// None for an empty text.
pub(super) fn maybe_path(text: &str) -> Parsed<Option<PathBuf>> {
    Ok(Some(text)
        .filter(|text| !text.is_empty())
        .map(PathBuf::from))
}

/// None for an empty text.
pub(super) fn maybe_actor(text: &str) -> Parsed<Option<Arc<str>>> {
    if text.is_empty() {
        return Ok(None);
    }
    parse_actor(text).map(Some).map_err(
        |_| "write user:ID or agent:ID, of up to 128 bytes, without spaces and control characters",
    )
}

pub(super) fn address(text: &str) -> Parsed<SocketAddr> {
    let wanted = "write an address and a port, like 127.0.0.1:2026 or [::1]:2026";
    if let Some(port) = text.strip_prefix("localhost:") {
        let port = port.parse().map_err(|_| wanted)?;
        return Ok(SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }
    text.parse().map_err(|_| wanted)
}

pub(super) fn boolean(text: &str) -> Parsed<bool> {
    match text {
        "true" | "1" | "yes" => Ok(true),
        "false" | "0" | "no" => Ok(false),
        _ => Err("write true or false"),
    }
}

pub(super) fn bytes(text: &str) -> Parsed<u64> {
    const UNITS: [(&str, u64); 4] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("B", 1),
    ];
    scaled(text, &UNITS, 1).ok_or("write a size like 64MiB: a whole number of B, KiB, MiB or GiB")
}

/// Memory to work with.
pub(super) fn memory(text: &str) -> Parsed<usize> {
    match usize::try_from(bytes(text)?) {
        Ok(bytes) if bytes >= 1 << 20 => Ok(bytes),
        _ => Err("less than 1MiB is too little to work with"),
    }
}

pub(super) fn some(text: &str) -> Parsed<usize> {
    match text.parse() {
        Ok(count) if count >= 1 => Ok(count),
        _ => Err("write a whole number from 1 on"),
    }
}

pub(super) fn inline_bytes(text: &str) -> Parsed<usize> {
    match usize::try_from(bytes(text)?) {
        Ok(bytes) if bytes <= INLINE_BYTES_MAX => Ok(bytes),
        _ => Err("at most 64KiB can lie beside the metadata"),
    }
}

pub(super) fn duration(text: &str) -> Parsed<Duration> {
    const UNITS: [(&str, u64); 3] = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let wanted = "write a time like 10s: a whole number of ms, s or m";
    // A bare number would leave the unit to guess.
    if text.ends_with(|c: char| c.is_ascii_digit()) {
        return Err(wanted);
    }
    scaled(text, &UNITS, 1)
        .map(Duration::from_millis)
        .ok_or(wanted)
}

/// A time that is not nothing.
pub(super) fn some_time(text: &str) -> Parsed<Duration> {
    match duration(text)? {
        time if time >= Duration::from_secs(1) => Ok(time),
        _ => Err("less than 1s is too short"),
    }
}

/// Between two runs of something that goes on for ever.
pub(super) fn interval(text: &str) -> Parsed<Duration> {
    const UNITS: [(&str, u64); 3] = [("s", 1), ("m", 60), ("h", 60 * 60)];
    let bounds = Duration::from_secs(1)..=Duration::from_secs(24 * 60 * 60);
    let time = scaled(text, &UNITS, 0).map(Duration::from_secs);
    time.filter(|time| bounds.contains(time))
        .ok_or("write a time from 1s to 24h: a whole number of s, m or h")
}

pub(super) fn hash(text: &str) -> Parsed<HashAlgorithm> {
    match text {
        "blake3" => Ok(HashAlgorithm::Blake3),
        "sha256" => Ok(HashAlgorithm::Sha256),
        _ => Err("the hash is blake3 or sha256"),
    }
}

/// Levels, for everything or as `part=level`, separated by commas. A lone word that is no
/// level is a slip, though the filter would take it for a part.
pub(super) fn log_levels(text: &str) -> Parsed<Targets> {
    let wanted =
        "write off, error, warn, info, debug or trace, or also by part: info,nexus_fs=debug";
    let level = |item: &str| {
        let level = item.rsplit_once('=').map_or(item, |(_, level)| level);
        !level.is_empty() && level.parse::<LevelFilter>().is_ok()
    };
    if !text.split(',').all(level) {
        return Err(wanted);
    }
    text.parse().map_err(|_| wanted)
}

pub(super) fn log_format(text: &str) -> Parsed<LogFormat> {
    match text {
        "auto" => Ok(LogFormat::Auto),
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        _ => Err("the format is auto, text or json"),
    }
}

/// A whole number and one of `units`; without a unit, of `plain`.
fn scaled(text: &str, units: &[(&str, u64)], plain: u64) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| !c.is_ascii_digit());
    let unit = text[digits.len()..].trim();
    let factor = match unit {
        "" => plain,
        _ => units.iter().find(|(name, _)| *name == unit)?.1,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}
