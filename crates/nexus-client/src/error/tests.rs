use nexus_kernel::{Kind, Outcome};
use nexus_proto::v1::Fact;
use tonic::metadata::{BinaryMetadataValue, MetadataMap};

use super::*;

fn status(detail: &ErrorDetail) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert_bin(
        DETAIL,
        BinaryMetadataValue::from_bytes(&detail.encode_to_vec()),
    );
    Status::with_metadata(Code::FailedPrecondition, "summary", metadata)
}

fn stale() -> ErrorDetail {
    let fact = |name: &str, value: &str| Fact {
        name: name.into(),
        value: value.into(),
    };
    ErrorDetail {
        kind: "conflict".into(),
        message: "the file has changed; read it again".into(),
        context: vec![fact("path", "/a"), fact("moon", "full")],
        outcome_unknown: false,
    }
}

#[test]
fn an_error_arrives_as_the_node_had_it() {
    let error = from_status(status(&stale()));
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(error.outcome(), Outcome::NotApplied);
    assert_eq!(error.message(), "the file has changed; read it again");
    assert_eq!(error.fact("path"), Some("/a"));
    assert_eq!(error.fact("detail"), Some("moon full"));
}

#[test]
fn a_node_that_does_not_know_the_outcome_is_believed() {
    let detail = ErrorDetail {
        outcome_unknown: true,
        ..stale()
    };
    assert_eq!(
        from_status_of_change(status(&detail)).outcome(),
        Outcome::Unknown
    );
}

#[test]
fn a_change_whose_answer_was_lost_may_have_happened() {
    let lost = || Status::unavailable("connection reset");
    assert_eq!(from_status_of_change(lost()).outcome(), Outcome::Unknown);
    assert_eq!(from_status(lost()).outcome(), Outcome::NotApplied);
    let refused = Status::invalid_argument("too long");
    assert_eq!(
        from_status_of_change(refused).outcome(),
        Outcome::NotApplied
    );
}

#[test]
fn a_kind_that_only_a_newer_node_knows_is_its_failure() {
    let detail = ErrorDetail {
        kind: "internal".into(),
        ..stale()
    };
    assert_eq!(from_status(status(&detail)).kind(), Kind::Unavailable);
}

#[test]
fn every_kind_has_its_name_on_the_wire() {
    for kind in KINDS {
        let detail = ErrorDetail {
            kind: kind.as_str().into(),
            ..stale()
        };
        assert_eq!(from_status(status(&detail)).kind(), kind);
    }
}

#[test]
fn a_change_that_never_left_was_not_applied() {
    let refused = || Box::new(tonic::ConnectError("refused".into()));
    let error = from_status_of_change(Status::from_error(refused()));
    assert_eq!(error.kind(), Kind::Unavailable);
    assert_eq!(error.outcome(), Outcome::NotApplied);
    let lost = std::io::Error::other("reset");
    let error = from_status_of_change(Status::from_error(Box::new(lost)));
    assert_eq!(error.outcome(), Outcome::Unknown);
}
