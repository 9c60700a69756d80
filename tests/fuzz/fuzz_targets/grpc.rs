//! gRPC: whatever message is sent, a status comes back. An input is a method (`Files/Stat`), a
//! line's end, an encoded message and, as in any file, a line's end.
#![no_main]

use bytes::Bytes;
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use nexus_fuzz::{ask, first_line};

fuzz_target!(|input: &[u8]| {
    let Some((method, message)) = first_line(input) else {
        return;
    };
    let message = message.strip_suffix(b"\n").unwrap_or(message);
    let length = u32::try_from(message.len()).expect("an input is small");
    let mut frame = vec![0];
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(message);
    let request = Request::post(format!("/nexus.v1.{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Bytes::from(frame));
    let Some(answer) = request.ok().and_then(ask) else {
        return;
    };
    if answer.status != StatusCode::OK {
        assert!(answer.status.is_client_error(), "{}", answer.status);
        return;
    }
    let fact = |name: &str| {
        let value = answer.trailers.get(name).or(answer.headers.get(name));
        value
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    // Of a message that cannot be decoded, gRPC libraries say that the error is internal.
    let is_expected = match fact("grpc-status") {
        "13" => fact("grpc-message").contains("decode"),
        status => !status.is_empty(),
    };
    assert!(
        is_expected,
        "{method}: {} {}",
        fact("grpc-status"),
        fact("grpc-message")
    );
});
