use super::*;

#[test]
fn users_and_agents_can_be_acted_for() {
    let longest = format!("user:{}", "x".repeat(ACTOR_BYTES_MAX - 5));
    for text in [
        "user:ada",
        "agent:alice",
        "agent:team:7",
        "user:zo\u{eb}",
        &longest,
    ] {
        assert_eq!(&*parse_actor(text).unwrap(), text);
    }
}

#[test]
fn what_names_nobody_is_refused() {
    let long = format!("user:{}", "x".repeat(ACTOR_BYTES_MAX - 4));
    for text in [
        "",
        "ada",
        ":ada",
        "user:",
        "User:ada",
        "group:ada",
        "system:system",
        " user:ada",
        "user: ada",
        "user:ada ",
        "user:a\nb",
        "user:a\u{7f}b",
        "user:a\u{9b}b",
        "user:a\u{2028}b",
        &long,
    ] {
        let error = parse_actor(text).unwrap_err();
        assert_eq!(
            error.kind(),
            nexus_kernel::Kind::InvalidArgument,
            "{text:?}"
        );
        assert!(error.to_string().len() < 512, "{text:?}");
    }
}
