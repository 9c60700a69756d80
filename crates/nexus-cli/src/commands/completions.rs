//! `completions`.

use clap::{Args, CommandFactory};
use clap_complete::Shell;
use nexus_client::Result;

use crate::app::App;
use crate::args::Cli;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus completions bash > ~/.local/share/bash-completion/completions/nexus
  nexus completions zsh > ~/.zfunc/_nexus
  nexus completions fish > ~/.config/fish/completions/nexus.fish")]
pub struct Completions {
    /// Which shell
    shell: Shell,
}

impl Completions {
    #[expect(clippy::unused_async, reason = "as every command")]
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "nexus", &mut script);
        app.out.bytes(&script)
    }
}
