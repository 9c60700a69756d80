use proptest::prelude::*;

use super::*;

fn well_formed(body: &[u8]) -> Request<'_> {
    match open(body, "read") {
        Ok(request) => request,
        Err((_, error)) => panic!("{error:?}"),
    }
}

/// The error that this call to `read` gets, with the id it is echoed with.
fn check(body: &[u8], code: i32, id: &str) {
    let (echoed, error) = open(body, "read").err().expect("this call is refused");
    let json = serde_json::to_value(&error).expect("an error is JSON");
    assert_eq!(json["code"], code, "{json}");
    assert_eq!(echoed, id);
}

#[test]
fn a_call_is_read_with_its_id_as_it_came() {
    for id in ["7", "\"a-b\"", "null", "-1", "1.50"] {
        let body =
            format!(r#"{{"jsonrpc":"2.0","method":"read","id":{id},"params":{{"path":"/a"}}}}"#);
        let request = well_formed(body.as_bytes());
        assert_eq!(request.id, id);
        assert_eq!(request.params, r#"{"path":"/a"}"#);
    }
}

#[test]
fn parameters_may_be_absent_or_null() {
    for body in [
        &br#"{"jsonrpc":"2.0","method":"read","id":1}"#[..],
        br#"{"jsonrpc":"2.0","method":"read","id":1,"params":null}"#,
    ] {
        assert_eq!(well_formed(body).params, "{}");
    }
}

#[test]
fn what_is_not_json_is_a_parse_error() {
    check(b"", -32700, "null");
    check(b"{\"jsonrpc\":\"2.0\",", -32700, "null");
    check(
        b"{\"jsonrpc\":\"2.0\",\"method\":\"re\xffad\"}",
        -32700,
        "null",
    );
    check("[".repeat(100_000).as_bytes(), -32700, "null");
}

#[test]
fn what_is_no_call_is_an_invalid_request() {
    check(b"[]", -32600, "null");
    check(br#"["2.0",1,"read",{"path":"/a"}]"#, -32600, "null");
    check(b"7", -32600, "null");
    check(br#"{"jsonrpc":"1.0","method":"read","id":3}"#, -32600, "3");
    check(br#"{"method":"read","id":3}"#, -32600, "3");
    check(br#"{"jsonrpc":"2.0","id":3}"#, -32600, "3");
    check(br#"{"jsonrpc":"2.0","id":3,"method":"write"}"#, -32600, "3");
    check(br#"{"jsonrpc":"2.0","id":3,"method":7}"#, -32600, "null");
    check(
        br#"{"jsonrpc":"2.0","id":{"a":1},"method":"read"}"#,
        -32600,
        "null",
    );
}

#[test]
fn parameters_are_an_object() {
    check(
        br#"{"jsonrpc":"2.0","id":3,"method":"read","params":["/a"]}"#,
        -32602,
        "3",
    );
    check(
        br#"{"jsonrpc":"2.0","id":3,"method":"read","params":"/a"}"#,
        -32602,
        "3",
    );
}

proptest! {
    #[test]
    fn whatever_comes_is_answered_with_json(body in any::<Vec<u8>>()) {
        if let Err((id, failure)) = open(&body, "read") {
            let answer = error(id, &failure);
            prop_assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
        }
    }

    #[test]
    fn whatever_members_a_call_has_it_is_answered_with_json(
        jsonrpc in member(), id in member(), method in member(), params in member(),
    ) {
        let body = format!(
            r#"{{"jsonrpc":{jsonrpc},"id":{id},"method":{method},"params":{params}}}"#
        );
        let answer = match open(body.as_bytes(), "read") {
            Ok(request) => result(request.id, b"null"),
            Err((id, failure)) => error(id, &failure),
        };
        prop_assert!(serde_json::from_slice::<serde_json::Value>(&answer).is_ok());
    }
}

/// Values, right and wrong, and what is none.
fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("\"2.0\"".to_owned()),
        Just("\"read\"".to_owned()),
        Just("null".to_owned()),
        Just("{}".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<String>().prop_map(|text| serde_json::Value::from(text).to_string()),
        ".{0,8}",
    ]
}
