//! Who asks: from the credential to the request's context.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use nexus_kernel::{Error, Result, Timestamp};
use nexus_service_api::{
    Context, FENCES_MAX, Fence, Principal, PrincipalKind, Rights, parse_actor,
};
use percent_encoding::percent_decode;

use crate::app::Shared;
use crate::door::Door;
use crate::observe::RequestId;

/// Most bytes in the name of a session or a request.
pub(crate) const NAME_BYTES_MAX: usize = 128;
/// Names the principal that an administrator's key acts for.
const ON_BEHALF_OF: &str = "x-nexus-on-behalf-of";
/// Carries a lease that the request stands on.
const FENCE: &str = "x-nexus-fence";

/// Lets a request with a valid key pass, with its [`Context`] among the request's extensions.
pub(crate) async fn require_key(
    State(shared): State<Shared>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    match context(&shared, &parts).await {
        Ok(context) => {
            parts.extensions.insert(context);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(error) => Door::of(parts.uri.path()).refuse(error),
    }
}

async fn context(shared: &Shared, parts: &Parts) -> Result<Context> {
    let headers = &parts.headers;
    let principal = shared.app.keys.authenticate(bearer(headers)?).await?;
    check_zone(shared, &principal, headers)?;
    check_agent(&principal, headers)?;
    let on_behalf_of = on_behalf_of(&principal, headers)?;
    let mut context = Context::new(Arc::new(principal));
    context.on_behalf_of = on_behalf_of;
    context.session = named(headers, "x-nexus-session")?.map(Arc::from);
    context.program = named(headers, "x-nexus-program")?.map(Arc::from);
    context.request_id = parts
        .extensions
        .get::<RequestId>()
        .map(|id| Arc::clone(&id.0));
    context.fences = fences(headers)?;
    context.deadline = deadline(headers, shared.app.clock.now())?;
    Ok(context)
}

fn bearer(headers: &HeaderMap) -> Result<&str> {
    let missing = || {
        Error::unauthenticated("send a key as `Authorization: Bearer sk-...`; an admin makes one")
    };
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?;
    let (scheme, secret) = value
        .to_str()
        .ok()
        .and_then(|text| text.split_once(' '))
        .ok_or_else(missing)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok(secret.trim())
    } else {
        Err(missing())
    }
}

/// A key opens its own zone, and a header can only say the same.
fn check_zone(shared: &Shared, principal: &Principal, headers: &HeaderMap) -> Result<()> {
    let denied = |asked: &str| {
        Err(
            Error::denied("the key belongs to another zone; use a key of the zone you ask for")
                .with("zone", shown(asked)),
        )
    };
    if principal.zone != shared.app.zone_id {
        return denied(&shared.app.zone_id);
    }
    for name in ["x-nexus-zone-id", "x-tenant-id"] {
        match named(headers, name)? {
            Some(asked) if asked != principal.zone => return denied(asked),
            _ => {}
        }
    }
    Ok(())
}

/// An agent's key may name the agent it belongs to, and no other key may.
fn check_agent(principal: &Principal, headers: &HeaderMap) -> Result<()> {
    match named(headers, "x-agent-id")? {
        Some(agent) if principal.kind != PrincipalKind::Agent || principal.id != agent => Err(
            Error::denied("the key is not this agent's; leave X-Agent-ID out or use its key")
                .with("agent", shown(agent)),
        ),
        _ => Ok(()),
    }
}

/// Whom an administrator's key acts for. That is put on record, and grants nothing. It is heeded
/// or refused, never passed over, so that nobody's changes go on record as somebody else's.
fn on_behalf_of(principal: &Principal, headers: &HeaderMap) -> Result<Option<Arc<str>>> {
    let mut values = headers.get_all(ON_BEHALF_OF).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if principal.rights != Rights::Admin {
        return Err(Error::denied(
            "only an administrator's key acts for others; name nobody to act for, or use a key of \
             the principal's own",
        ));
    }
    match (value.to_str(), values.next()) {
        (Ok(text), None) => parse_actor(text).map(Some),
        _ => Err(
            Error::invalid("whom to act for is one name, in ASCII: user:ID or agent:ID")
                .with("header", ON_BEHALF_OF),
        ),
    }
}

/// The leases that the request stands on, one a header: `TOKEN RESOURCE`, percent-encoded.
fn fences(headers: &HeaderMap) -> Result<Vec<Fence>> {
    let values = headers.get_all(FENCE).iter();
    let fences = values.map(|value| {
        let text = percent_decode(value.as_bytes()).decode_utf8();
        let text = text.map_err(|_| {
            Error::invalid("a fence is UTF-8; percent-encode the bytes of that")
                .with("header", FENCE)
        })?;
        text.trim().parse()
    });
    let fences: Vec<Fence> = fences.collect::<Result<_>>()?;
    if fences.len() > FENCES_MAX {
        return Err(Error::limit("a request carries up to 8 fences").with("fences", fences.len()));
    }
    Ok(fences)
}

/// The value of a header that names something; an empty one counts as absent.
pub(crate) fn named<'a>(headers: &'a HeaderMap, name: &'static str) -> Result<Option<&'a str>> {
    let Some(value) = headers.get(name) else {
        return Ok(None);
    };
    match value.to_str() {
        Ok("") => Ok(None),
        Ok(text) if text.len() <= NAME_BYTES_MAX => Ok(Some(text)),
        _ => Err(
            Error::invalid("a header that names something holds up to 128 ASCII characters")
                .with("header", name),
        ),
    }
}

/// The time by which gRPC's `grpc-timeout` wants an answer.
fn deadline(headers: &HeaderMap, now: Timestamp) -> Result<Option<Timestamp>> {
    let Some(value) = named(headers, "grpc-timeout")? else {
        return Ok(None);
    };
    let timeout = parse_timeout(value).ok_or_else(|| {
        Error::invalid("grpc-timeout is up to 8 digits and one of H, M, S, m, u, n")
            .with("grpc-timeout", shown(value))
    })?;
    let nanos = i64::try_from(timeout.as_nanos()).unwrap_or(i64::MAX);
    Ok(Some(now.plus_nanos(nanos)))
}

fn parse_timeout(text: &str) -> Option<Duration> {
    let unit = text.chars().next_back()?;
    let digits = text.strip_suffix(unit)?;
    if digits.len() > 8 || !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let count = digits.parse().ok()?;
    match unit {
        'H' => Some(Duration::from_secs(count * 3600)),
        'M' => Some(Duration::from_secs(count * 60)),
        'S' => Some(Duration::from_secs(count)),
        'm' => Some(Duration::from_millis(count)),
        'u' => Some(Duration::from_micros(count)),
        'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

fn shown(text: &str) -> impl std::fmt::Display {
    text.escape_debug()
}

#[cfg(test)]
mod tests;
