//! JSON-RPC: whatever is sent, one envelope comes back. An input is a method, a line's end and
//! the parameters; it is also sent as a body of its own.
#![no_main]

use bytes::Bytes;
use http::{Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use nexus_fuzz::{ask, first_line};
use serde_json::Value;

fuzz_target!(|input: &[u8]| {
    call("read", input.to_vec());
    if let Some((method, params)) = first_line(input) {
        let mut body =
            format!(r#"{{"jsonrpc":"2.0","id":7,"method":"{method}","params":"#).into_bytes();
        body.extend_from_slice(params);
        body.push(b'}');
        call(method, body);
    }
});

fn call(method: &str, body: Vec<u8>) {
    let Ok(request) = Request::post(format!("/api/nfs/{method}")).body(Bytes::from(body)) else {
        return;
    };
    let Some(answer) = ask(request) else {
        return;
    };
    if answer.status != StatusCode::OK || method.contains(['/', '?', '#']) {
        let refused = matches!(answer.status.as_u16(), 200 | 304 | 400 | 404 | 405);
        assert!(refused, "{}", answer.status);
        return;
    }
    let envelope: Value = serde_json::from_slice(&answer.body).expect("an answer is JSON");
    assert_eq!(envelope["jsonrpc"], "2.0");
    assert!(envelope.get("result").is_some() != envelope.get("error").is_some());
}
