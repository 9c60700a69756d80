use proptest::prelude::*;

use super::*;

fn decode(json: &str, encoding: Option<&str>) -> Result<Bytes, String> {
    let content: Content = serde_json::from_str(json).map_err(|error| error.to_string())?;
    content
        .decode(encoding)
        .map_err(|error| format!("{error:?}"))
}

#[test]
fn bytes_go_both_ways() {
    let all: Vec<u8> = (0..=255).collect();
    let json = serde_json::to_string(&TypedBytes(all.clone().into())).expect("plain data");
    assert_eq!(decode(&json, None), Ok(all.into()));
    let json = serde_json::to_string(&TypedBytes(Bytes::from_static(b"hi"))).expect("plain data");
    assert_eq!(json, r#"{"__type__":"bytes","data":"aGk="}"#);
}

#[test]
fn text_is_utf_8_unless_the_call_says_base64() {
    assert_eq!(decode("\"aGk=\"", None), Ok("aGk=".into()));
    assert_eq!(decode("\"aGk=\"", Some("base64")), Ok("hi".into()));
    assert_eq!(decode("\"h\\u00e9\"", Some("utf-8")), Ok("hé".into()));
    assert!(decode("\"a\"", Some("rot13")).is_err());
}

#[test]
fn bytes_that_cannot_be_read_are_refused() {
    for json in [
        r#"{"__type__":"bytes","data":"%%%"}"#,
        r#"{"__type__":"bytes"}"#,
        r#"{"__type__":"datetime","data":"aGk="}"#,
        r#"{"data":"aGk="}"#,
        "7",
        "null",
    ] {
        assert!(decode(json, None).is_err(), "{json}");
    }
}

#[test]
fn unknown_names_beside_the_data_are_ignored() {
    let json = r#"{"data":"aGk=","more":[1,{"a":2}],"__type__":"bytes"}"#;
    assert_eq!(decode(json, None), Ok("hi".into()));
}

#[test]
fn times_have_microseconds_and_an_offset_in_digits() {
    assert_eq!(iso8601(Timestamp(0)), "1970-01-01T00:00:00.000000+00:00");
    assert_eq!(
        iso8601(Timestamp(1_500_000_999)),
        "1970-01-01T00:00:01.500000+00:00"
    );
    let json = serde_json::to_string(&TypedTime(Timestamp(1_000))).expect("plain data");
    assert_eq!(
        json,
        r#"{"__type__":"datetime","data":"1970-01-01T00:00:00.000001+00:00"}"#
    );
}

#[test]
fn chunks_come_as_one_value_or_as_many() {
    let one: Chunks =
        serde_json::from_str(r#"{"__type__":"bytes","data":"aGk="}"#).expect("chunks");
    assert_eq!(one.decode().expect("bytes"), "hi");
    let many: Chunks =
        serde_json::from_str(r#"["a", {"__type__":"bytes","data":"aGk="}]"#).expect("chunks");
    assert_eq!(many.decode().expect("bytes"), "ahi");
}

proptest! {
    #[test]
    fn any_bytes_come_back_as_they_were(bytes in any::<Vec<u8>>()) {
        let json = serde_json::to_string(&TypedBytes(bytes.clone().into())).expect("plain data");
        prop_assert_eq!(decode(&json, None), Ok(bytes.into()));
    }

    #[test]
    fn any_time_comes_back_but_for_its_nanoseconds(nanos in nanos()) {
        let json = serde_json::to_value(TypedTime(Timestamp(nanos))).expect("plain data");
        let text = json["data"].as_str().expect("a text");
        // The first microsecond there is begins before the first nanosecond.
        let known = nanos.div_euclid(1_000).checked_mul(1_000).map(Timestamp);
        prop_assert_eq!(nexus_fs::time::parse_rfc3339(text), known);
    }

    #[test]
    fn any_content_ends_in_bytes_or_an_error(json in content(), encoding in "(base64|utf-8)?") {
        let encoding = Some(encoding.as_str()).filter(|name| !name.is_empty());
        let _ = decode(&json, encoding);
        let _ = serde_json::from_str::<Chunks>(&json).map(Chunks::decode);
    }

    #[test]
    fn any_time_has_a_text_of_the_same_form(nanos in 0..i64::MAX) {
        let text = iso8601(Timestamp(nanos));
        prop_assert_eq!(text.len(), "1970-01-01T00:00:00.000000+00:00".len());
    }
}

/// Times, the first and last ones often.
fn nanos() -> impl Strategy<Value = i64> {
    prop_oneof![
        any::<i64>(),
        i64::MIN..i64::MIN + 2_000,
        i64::MAX - 2_000..=i64::MAX
    ]
}

/// Typed values, right and wrong.
fn content() -> impl Strategy<Value = String> {
    let data = prop_oneof!["[A-Za-z0-9+/=]{0,8}", any::<String>()];
    (data, "bytes|datetime|", 0..4).prop_map(|(data, kind, form)| match form {
        0 => serde_json::json!(data).to_string(),
        1 => serde_json::json!({ "__type__": kind, "data": data }).to_string(),
        2 => serde_json::json!([data, { "data": data, "__type__": kind }]).to_string(),
        _ => data,
    })
}
