use super::*;
use crate::Options;

#[test]
fn secrets_are_not_shown_when_debugging() {
    let key = Key {
        key_id: "4f1d".into(),
        name: "laptop".into(),
        kind: PrincipalKind::User,
        id: "ada".into(),
        zone: "root".into(),
        rights: Rights::ReadOnly,
        prefix: None,
        created: Timestamp(0),
        expires: None,
        revoked: None,
    };
    let made = NewKey {
        key,
        secret: "sk-4f1d-secret".into(),
    };
    let options = Options {
        api_key: Some("sk-4f1d-secret".into()),
        session: Some("run-7".into()),
        ..Options::default()
    };
    let shown = format!("{made:?} {options:?}");
    assert!(shown.contains("laptop") && shown.contains("run-7"));
    assert!(!shown.contains("sk-"), "{shown}");
}
