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
fn every_command_can_act_for_somebody() {
    for arguments in [
        ["nexus", "--as", "agent:alice", "ls"],
        ["nexus", "ls", "--as", "agent:alice"],
        ["nexus", "mount", "--as=agent:alice", "work"],
    ] {
        let cli = Cli::parse_from(arguments);
        let named = cli.connection.on_behalf_of.as_deref();
        assert_eq!(named, Some("agent:alice"), "{arguments:?}");
    }
    let nobody = Cli::try_parse_from(["nexus", "--as", "", "ls"]);
    assert!(nobody.is_err(), "an empty name is not passed over");
    for command in ["ls", "mount"] {
        let help = Cli::try_parse_from(["nexus", command, "--help"]).unwrap_err();
        assert!(help.to_string().contains("--as <PRINCIPAL>"), "{help}");
    }
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
