use super::*;

const ALL: [Kind; 12] = [
    Kind::NotFound,
    Kind::AlreadyExists,
    Kind::WrongType,
    Kind::NotEmpty,
    Kind::InvalidArgument,
    Kind::Unauthenticated,
    Kind::PermissionDenied,
    Kind::Conflict,
    Kind::LimitExceeded,
    Kind::Unsupported,
    Kind::Unavailable,
    Kind::Corrupt,
];

#[test]
fn every_kind_is_an_error_in_every_protocol() {
    for kind in ALL {
        let codes = codes(kind);
        assert!(
            codes.http.is_client_error() || codes.http.is_server_error(),
            "{kind:?}"
        );
        assert_ne!(codes.grpc, Code::Ok, "{kind:?}");
        assert!((-32768..=-32000).contains(&codes.json_rpc), "{kind:?}");
        assert!(codes.errno > 0, "{kind:?}");
    }
}

#[test]
fn only_what_trying_again_may_help_is_unavailable() {
    for kind in ALL {
        let unavailable = codes(kind).grpc == Code::Unavailable;
        assert_eq!(unavailable, kind == Kind::Unavailable, "{kind:?}");
        let unavailable = codes(kind).http == StatusCode::SERVICE_UNAVAILABLE;
        assert_eq!(unavailable, kind == Kind::Unavailable, "{kind:?}");
    }
}

#[test]
fn the_codes_existing_json_rpc_clients_know_stay() {
    let code = |kind| json_rpc_code(&Error::new(kind, ""));
    assert_eq!(code(Kind::NotFound), -32000);
    assert_eq!(code(Kind::AlreadyExists), -32001);
    assert_eq!(code(Kind::PermissionDenied), -32003);
    assert_eq!(code(Kind::InvalidArgument), -32005);
    assert_eq!(code(Kind::Conflict), -32006);
    assert_eq!(
        json_rpc_code(&Error::invalid("").with("path", "a//b")),
        -32002
    );
}
