//! REST: no request is answered with 500. An input is a method, a blank, an address below
//! `/api/v2/`, a line's end and the body.
#![no_main]

use bytes::Bytes;
use http::Request;
use libfuzzer_sys::fuzz_target;
use nexus_fuzz::{ask, first_line};

fuzz_target!(|input: &[u8]| {
    let Some((line, body)) = first_line(input) else {
        return;
    };
    let Some((method, address)) = line.split_once(' ') else {
        return;
    };
    let request = Request::builder()
        .method(method)
        .uri(format!("/api/v2/{address}"))
        .header("content-type", "application/json")
        .body(Bytes::copy_from_slice(body));
    if let Some(answer) = request.ok().and_then(ask) {
        assert_ne!(answer.status.as_u16(), 500, "{line}");
    }
});
