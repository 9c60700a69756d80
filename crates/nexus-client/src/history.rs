//! What was before, and what happens.

use futures::stream::BoxStream;
use nexus_kernel::{Durability, Result};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change};
use crate::reads::pages;
use crate::types::changes::Changed;
use crate::types::files::{At, Page};
use crate::types::history::{LogPage, LogQuery, Record, Version};

impl Client {
    /// The contents a file has had, newest first: at most `limit`, or the node's default if 0,
    /// of the versions before `before`.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is there.
    pub async fn versions(
        &self,
        path: &str,
        limit: u32,
        before: Option<u64>,
    ) -> Result<Vec<Version>> {
        let request = v1::VersionsRequest {
            path: path.to_owned(),
            limit,
            before,
        };
        let answer = self.files().versions(request).await.map_err(from_status)?;
        Ok(answer
            .into_inner()
            .versions
            .into_iter()
            .map(convert::version)
            .collect())
    }

    /// Makes an earlier content the newest version.
    ///
    /// # Errors
    ///
    /// `NotFound` if the file or the version is missing.
    pub async fn rollback(
        &self,
        path: &str,
        version: u64,
        durability: Durability,
    ) -> Result<Changed> {
        let durability = convert::durability(durability);
        let request = v1::RollbackRequest {
            path: path.to_owned(),
            version,
            durability,
        };
        let answer = self
            .files()
            .rollback(request)
            .await
            .map_err(from_status_of_change)?;
        convert::changed(answer.into_inner())
    }

    /// One page of the zone's commits.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for an unknown cursor.
    pub async fn log(&self, query: LogQuery) -> Result<LogPage> {
        let request = v1::LogRequest {
            path_prefix: query.path_prefix,
            actor: query.actor,
            kinds: query
                .kinds
                .into_iter()
                .map(|kind| kind.to_wire().into())
                .collect(),
            on_behalf_of: query.on_behalf_of,
            key_id: query.key_id,
            program: query.program,
            session: query.session,
            request_id: query.request_id,
            operation: query.operation,
            since: query.since.map(At::into_wire).unwrap_or_default(),
            until: query.until.map(At::into_wire).unwrap_or_default(),
            newest_first: query.newest_first,
            limit: query.limit,
            cursor: query.cursor.unwrap_or_default(),
        };
        let answer = self
            .files()
            .log(request)
            .await
            .map_err(from_status)?
            .into_inner();
        let records = answer
            .records
            .into_iter()
            .map(convert::record)
            .collect::<Result<_>>()?;
        Ok(LogPage {
            records,
            next: convert::cursor(answer.next),
            previous: convert::cursor(answer.previous),
        })
    }

    /// The zone's commits, asked for page by page as they are consumed.
    #[must_use]
    pub fn log_all(&self, query: LogQuery) -> BoxStream<'static, Result<Record>> {
        let client = self.clone();
        pages(query.cursor.clone(), move |cursor| {
            let client = client.clone();
            let query = LogQuery {
                cursor,
                ..query.clone()
            };
            async move {
                let page = client.log(query).await?;
                Ok(Page {
                    items: page.records,
                    next: page.next,
                })
            }
        })
    }
}
