//! The change feed, over lost connections.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, BoxStream};
use nexus_client::{Client, WatchQuery};
use nexus_fs::Record;
use nexus_kernel::{Kind, Result, Revision};

use crate::convert;

/// How long it rests after a connection was lost.
const REST: Duration = Duration::from_millis(200);

/// Every commit after a revision, from a node that may come and go.
pub(crate) fn changes(client: Client, after: Revision) -> BoxStream<'static, Result<Record>> {
    let feed = Feed {
        client,
        after,
        records: None,
        is_lost: false,
    };
    let next = |mut feed: Feed| async move { Some((feed.next().await, feed)) };
    stream::unfold(feed, next).boxed()
}

struct Feed {
    client: Client,
    after: Revision,
    /// None while there is no connection.
    records: Option<BoxStream<'static, Result<nexus_client::Record>>>,
    is_lost: bool,
}

impl Feed {
    async fn next(&mut self) -> Result<Record> {
        loop {
            match self.try_next().await {
                Ok(Some(record)) => return Ok(record),
                Ok(None) => self.lost(),
                Err(error) if error.kind() == Kind::Unavailable => {
                    tracing::debug!(?error, "no change feed");
                    self.lost();
                }
                Err(error) => {
                    self.records = None;
                    return Err(error);
                }
            }
            tokio::time::sleep(REST).await;
        }
    }

    /// None at the end of a connection.
    async fn try_next(&mut self) -> Result<Option<Record>> {
        let records = match &mut self.records {
            Some(records) => records,
            None => {
                let query = WatchQuery {
                    start: self.after.into(),
                    ..WatchQuery::default()
                };
                let records = self.client.watch(query).await?;
                if std::mem::take(&mut self.is_lost) {
                    tracing::info!(after = %self.after, "the node answers again");
                }
                self.records.insert(records)
            }
        };
        let Some(record) = records.next().await.transpose()? else {
            return Ok(None);
        };
        self.after = record.revision;
        convert::record(record).map(Some)
    }

    fn lost(&mut self) {
        self.records = None;
        if !std::mem::replace(&mut self.is_lost, true) {
            tracing::warn!("the node is away: what changes there is not seen for now");
        }
    }
}
