use super::*;

#[test]
fn one_failed_step_fails_the_whole_and_the_others_still_run() {
    let mut steps = Steps::default();
    let mut later_step_ran = false;
    steps.step("first", || bail!("no"));
    steps.step("second", || {
        later_step_ran = true;
        Ok(())
    });
    let error = steps.finish().expect_err("a step failed");
    assert!(later_step_ran);
    assert_eq!(error.to_string(), "failed: first; what went wrong is above");
}

#[test]
fn a_program_that_fails_is_an_error_that_names_it() {
    let error = run("false", ["at", "all"]).expect_err("it always fails");
    assert_eq!(error.to_string(), "`false at all` failed: exit status: 1");
}

#[test]
fn a_program_that_is_not_there_does_not_succeed() {
    assert!(!succeeds("no-such-program-anywhere", ["--version"]));
}
