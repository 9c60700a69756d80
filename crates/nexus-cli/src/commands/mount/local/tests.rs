use super::*;

#[test]
fn a_url_leads_to_this_machine_or_elsewhere() {
    for url in [
        "http://127.0.0.1:2026",
        "http://localhost",
        "http://[::1]:2026/",
    ] {
        assert!(is_local(url), "{url}");
    }
    for url in [
        "http://10.0.0.7:2026",
        "http://localhost.example.org",
        "http://127.0.0.11",
    ] {
        assert!(!is_local(url), "{url}");
    }
}
