use clap::{CommandFactory, Parser};

use super::*;

#[test]
fn the_arguments_hold_together() {
    Cli::command().debug_assert();
}

#[test]
fn every_command_explains_itself() {
    for command in Cli::command().get_subcommands() {
        assert!(command.get_about().is_some(), "{}", command.get_name());
    }
}

#[test]
fn modes_are_octal() {
    assert_eq!(mode("644"), Ok(0o644));
    assert_eq!(mode("0755"), Ok(0o755));
    assert!(mode("888").is_err());
    assert!(mode("17777").is_err());
    assert!(mode("u+x").is_err());
}

#[test]
fn the_key_is_not_shown_when_debugging() {
    let cli = Cli::parse_from(["nexus", "--key", "sk-secret", "--session", "run-7", "ls"]);
    let shown = format!("{cli:?}");
    assert!(
        shown.contains("run-7") && !shown.contains("sk-secret"),
        "{shown}"
    );
}
