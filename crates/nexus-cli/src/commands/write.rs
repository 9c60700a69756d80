//! `write`.

use bytes::Bytes;
use clap::Args;
use futures::{StreamExt, TryStreamExt};
use nexus_client::{ByteStream, Client, Precondition, Result, WriteOptions};
use tokio_util::io::ReaderStream;

use crate::app::App;
use crate::args::{self, DurabilityArgument};
use crate::commands::metadata::pair;
use crate::io::io_error;
use crate::location::RemotePath;
use crate::report::wrote;

/// Bytes of standard input taken at once.
const PIECE: usize = 256 * 1024;

#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  nexus write /a.txt 'some text'              Exactly these bytes
  tar c . | nexus write /backups/today.tar -p From standard input, however long
  nexus write /lock '' --create               Only if there is no such file
  nexus write /a.txt new --if-match b3-...    Only if the file still has this etag
  tail -f app.log | nexus write --append /logs/app.log

A write shows up whole or not at all. With --append each piece of the input is a write of its
own.")]
pub struct Write {
    /// The file
    path: RemotePath,
    /// Its content; from standard input if not given
    content: Option<String>,
    /// Make missing directories on the way
    #[arg(short, long)]
    parents: bool,
    /// Fail if the file exists
    #[arg(long, conflicts_with_all = ["if_match", "append"])]
    create: bool,
    /// Fail unless the file has this etag
    #[arg(long, value_name = "ETAG", conflicts_with = "append")]
    if_match: Option<String>,
    /// Add to the end of the file
    #[arg(short, long)]
    append: bool,
    /// Permission bits of a new file, octal
    #[arg(long, value_parser = args::mode)]
    mode: Option<u32>,
    /// Custom metadata to set with it
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,
    #[command(flatten)]
    durability: DurabilityArgument,
}

impl Write {
    pub(crate) async fn run(self, app: &mut App) -> Result<()> {
        let client = app.client().await?;
        let (path, options) = (self.path.as_str(), self.options());
        let body = match self.content {
            Some(content) => Box::pin(futures::stream::once(async { Ok(Bytes::from(content)) })),
            None => standard_input(),
        };
        let changed = match self.append {
            true => append(&client, path, body, &options).await?,
            false => client.write_stream(path, body, options).await?,
        };
        wrote(app, path, &changed)
    }

    fn options(&self) -> WriteOptions {
        let precondition = match (&self.if_match, self.create) {
            (Some(etag), _) => Precondition::Etag(etag.clone()),
            (None, true) => Precondition::Absent,
            (None, false) => Precondition::None,
        };
        let meta = self.meta.iter().cloned();
        WriteOptions {
            precondition,
            durability: self.durability.into(),
            parents: self.parents,
            mode: self.mode,
            metadata: meta.map(|(key, value)| (key, value.into())).collect(),
            source: None,
        }
    }
}

async fn append(
    client: &Client,
    path: &str,
    mut body: ByteStream,
    options: &WriteOptions,
) -> Result<nexus_client::Changed> {
    // An empty input still makes the file.
    let mut piece = body.try_next().await?.unwrap_or_default();
    loop {
        let changed = client.append(path, piece, options.clone()).await?;
        match body.try_next().await? {
            Some(next) => piece = next,
            None => return Ok(changed),
        }
    }
}

fn standard_input() -> ByteStream {
    let pieces = ReaderStream::with_capacity(tokio::io::stdin(), PIECE);
    pieces
        .map(|piece| piece.map_err(|e| io_error("could not read standard input", &e)))
        .boxed()
}
