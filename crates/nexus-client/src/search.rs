//! Finding files and lines.

use bytes::Bytes;
use futures::stream::BoxStream;
use nexus_kernel::Result;
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::from_status;
use crate::reads::{items, pages};
use crate::types::files::DirEntry;
use crate::types::search::{GlobQuery, GrepMatch, GrepQuery};

impl Client {
    /// Paths that match a pattern, as they are found.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a pattern that is none, `NotFound` if the path is missing.
    pub async fn glob(&self, query: GlobQuery) -> Result<BoxStream<'static, Result<DirEntry>>> {
        let request = v1::GlobRequest {
            pattern: query.pattern,
            path: query.path,
            at: query.at.into_wire(),
            ignore: query.ignore,
        };
        let answer = self.files().glob(request).await.map_err(from_status)?;
        Ok(items(answer.into_inner(), convert::entry))
    }

    /// Lines that match a pattern, as they are found.
    ///
    /// # Errors
    ///
    /// `InvalidArgument` for a pattern that is none, `NotFound` if the path is missing.
    pub async fn grep(&self, query: GrepQuery) -> Result<BoxStream<'static, Result<GrepMatch>>> {
        let request = v1::GrepRequest {
            pattern: query.pattern,
            path: query.path,
            at: query.at.into_wire(),
            file_pattern: query.file_pattern,
            ignore_case: query.ignore_case,
            literal: query.literal,
            multi_line: query.multi_line,
            before: query.before,
            after: query.after,
            max_per_file: query.max_per_file,
            ignore: query.ignore,
            file_bytes_max: query.file_bytes_max,
            max_results: query.max_results,
        };
        let answer = self.files().grep(request).await.map_err(from_status)?;
        Ok(items(answer.into_inner(), convert::grep_match))
    }

    /// Everything with this tag.
    #[must_use]
    pub fn find_by_tag(&self, tag: &str) -> BoxStream<'static, Result<DirEntry>> {
        let (client, tag) = (self.clone(), tag.to_owned());
        pages(None, move |cursor| {
            let (client, tag) = (client.clone(), tag.clone());
            async move {
                let request = v1::FindByTagRequest {
                    tag,
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client
                    .files()
                    .find_by_tag(request)
                    .await
                    .map_err(from_status)?;
                convert::page(answer.into_inner())
            }
        })
    }

    /// Everything with this metadata key, and this value if one is given.
    #[must_use]
    pub fn find_by_metadata(
        &self,
        key: &str,
        value: Option<Bytes>,
    ) -> BoxStream<'static, Result<DirEntry>> {
        let (client, key) = (self.clone(), key.to_owned());
        pages(None, move |cursor| {
            let (client, key, value) = (client.clone(), key.clone(), value.clone());
            async move {
                let cursor = cursor.unwrap_or_default();
                let request = v1::FindByMetadataRequest {
                    key,
                    value,
                    limit: 0,
                    cursor,
                };
                let answer = client
                    .files()
                    .find_by_metadata(request)
                    .await
                    .map_err(from_status)?;
                convert::page(answer.into_inner())
            }
        })
    }
}
