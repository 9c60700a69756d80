use super::*;

#[test]
fn the_table_is_in_order_so_that_every_method_is_found() {
    assert!(METHODS.is_sorted_by(|a, b| a.name < b.name));
    for method in METHODS {
        assert_eq!(find(method.name).map(|found| found.name), Some(method.name));
    }
    assert!(find("workspace_snapshots").is_none());
}
