//! One run of the command.

use std::path::Path;

use nexus_client::{Client, Error, Fence, Options, Result, Timestamp};

use crate::args::{Command, Connection};
use crate::exit::Exit;
use crate::io::{io_error, is_broken_pipe};
use crate::output::Output;
use crate::report::report;

/// What a command works with.
pub struct App {
    connection: Connection,
    client: Option<Client>,
    /// Where results go.
    pub(crate) out: Output,
    /// When the command was started.
    pub(crate) now: Timestamp,
    /// How the command ends if it has no error.
    pub(crate) exit: Exit,
}

/// Runs a command to its end, and says what went wrong on standard error.
pub async fn run(command: Command, mut app: App) -> Exit {
    let done = Box::pin(command.run(&mut app)).await;
    match done.and_then(|()| app.out.flush()) {
        Ok(()) => app.exit,
        // Whoever read the output has seen enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Exit::Ok,
        Err(error) => report(&error, app.out.is_json()),
    }
}

impl App {
    /// A run that has not begun.
    #[must_use]
    pub fn new(connection: Connection, out: Output, now: Timestamp) -> Self {
        Self {
            connection,
            client: None,
            out,
            now,
            exit: Exit::Ok,
        }
    }

    /// The connection to the node, made at its first use.
    pub(crate) async fn client(&mut self) -> Result<Client> {
        if let Some(client) = &self.client {
            return Ok(client.clone());
        }
        let Connection {
            session,
            request_id,
            ..
        } = self.connection.clone();
        let client = self.connect(session, request_id).await?;
        Ok(self.client.insert(client).clone())
    }

    /// A connection whose calls all have this request id, and belong to this run unless another
    /// is named.
    pub(crate) async fn client_named(&self, request_id: &str, run: Option<&str>) -> Result<Client> {
        let session = self.connection.session.clone();
        let session = session.or_else(|| run.map(str::to_owned));
        self.connect(session, Some(request_id.to_owned())).await
    }

    async fn connect(&self, session: Option<String>, request_id: Option<String>) -> Result<Client> {
        let options = Options {
            api_key: self.api_key()?,
            session,
            request_id,
            agent: None,
            on_behalf_of: self.connection.on_behalf_of.clone(),
            fences: self.connection.fences.clone(),
        };
        Client::connect_with(&self.connection.url, options).await
    }

    pub(crate) fn url(&self) -> &str {
        &self.connection.url
    }

    /// For whom the command acts.
    pub(crate) fn on_behalf_of(&self) -> Option<&str> {
        self.connection.on_behalf_of.as_deref()
    }

    /// The leases that the command's changes stand on.
    pub(crate) fn fences(&self) -> &[Fence] {
        &self.connection.fences
    }

    fn api_key(&self) -> Result<Option<String>> {
        match (&self.connection.key, &self.connection.key_file) {
            (Some(key), _) => Ok(Some(key.clone())),
            (None, Some(file)) => read_key(file).map(Some),
            (None, None) => Ok(None),
        }
    }
}

fn read_key(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        io_error("could not read the key file", &error).with("file", file.display())
    })?;
    match text.trim() {
        "" => Err(Error::invalid("the key file is empty").with("file", file.display())),
        key => Ok(key.to_owned()),
    }
}
