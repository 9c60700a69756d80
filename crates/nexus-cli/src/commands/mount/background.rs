//! Going on in the background.

use std::env;
use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::Stdio;

use nexus_client::Result;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::app::App;
use crate::exit::Exit;
use crate::io::io_error;

/// Starts the same command once more, without `--daemon`, and waits until it has mounted. It goes
/// on logging to standard error.
pub(super) async fn start(app: &mut App) -> Result<()> {
    let program = env::current_exe()
        .map_err(|error| io_error("this program could not find itself", &error))?;
    let mut command = std::process::Command::new(program);
    let arguments = env::args_os().skip(1);
    command
        .args(arguments.filter(|argument| argument != OsStr::new("--daemon")))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        // The terminal's Ctrl-C is not meant for it.
        .process_group(0);
    let child = Command::from(command).spawn();
    let mut child = child.map_err(|error| io_error("could not go to the background", &error))?;
    match first_line(&mut child).await? {
        Some(line) => app.out.line(&line),
        // It has said why.
        None => {
            app.exit = Exit::Failure;
            let ended = child.wait().await;
            ended
                .map(drop)
                .map_err(|error| io_error("could not hear from the background", &error))
        }
    }
}

/// What it says when it is mounted.
async fn first_line(child: &mut Child) -> Result<Option<String>> {
    let Some(output) = child.stdout.take() else {
        return Ok(None);
    };
    let line = BufReader::new(output).lines().next_line().await;
    line.map_err(|error| io_error("could not hear from the background", &error))
}
