//! One call on its way through its method.

use http::HeaderMap;
use nexus_fs::{At, Etag, Precondition, Session};
use nexus_kernel::Error;
use nexus_service_api::Context;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Reply;
use super::error::RpcError;
use crate::app::Shared;
use crate::door::expected_etag;

/// What a method answers.
pub(super) type Outcome = Result<Reply, RpcError>;

/// Who calls, and what on.
pub(super) struct Call {
    pub(super) shared: Shared,
    pub(super) context: Context,
    pub(super) files: Session,
    pub(super) headers: HeaderMap,
}

impl Call {
    pub(super) fn new(shared: Shared, context: Context, headers: HeaderMap) -> Self {
        let files = shared.files(context.clone());
        Self {
            shared,
            context,
            files,
            headers,
        }
    }

    /// What the parameters of a write ask of the file. `force` overrides the rest.
    pub(super) async fn precondition(
        &self,
        path: &str,
        if_match: Option<&str>,
        create_only: bool,
        force: bool,
    ) -> Result<Precondition, Error> {
        if force {
            return Ok(Precondition::None);
        }
        Ok(match self.if_match(path, if_match).await? {
            Some(etag) => Precondition::Etag(etag),
            None if create_only => Precondition::Absent,
            None => Precondition::None,
        })
    }

    /// The etag that a call asks the file to have.
    ///
    /// One that no content can have is refused with the current one, which these clients show.
    pub(super) async fn if_match(
        &self,
        path: &str,
        etag: Option<&str>,
    ) -> Result<Option<Etag>, Error> {
        let Some(etag) = etag else { return Ok(None) };
        match expected_etag(etag) {
            Ok(etag) => Ok(Some(etag)),
            Err(_) => Err(self.stale(path, etag).await?),
        }
    }

    async fn stale(&self, path: &str, expected: &str) -> Result<Error, Error> {
        let stat = self.files.stat(path, At::Latest).await?;
        let error = Error::conflict("the file has another etag; read it again and redo the change")
            .with("path", path)
            .with("expected_etag", expected);
        Ok(match stat.etag {
            Some(current) => error.with("current_etag", current),
            None => error,
        })
    }

    /// Refuses an answer with more entries than can go into one.
    pub(super) fn check_entries(&self, count: usize) -> Result<(), Error> {
        let most = self.shared.app.limits.unpaged_entries_max;
        if count <= most {
            return Ok(());
        }
        Err(
            Error::limit("the answer has too many entries; ask for less at a time")
                .with("entries_max", most),
        )
    }

    /// Refuses an answer with more content than can go into one.
    pub(super) fn check_bytes(&self, bytes: usize) -> Result<(), Error> {
        let most = self.shared.app.limits.unpaged_bytes_max;
        if bytes <= most {
            return Ok(());
        }
        Err(Error::limit("the answer is too large; read less at a time").with("bytes_max", most))
    }
}

impl Reply {
    /// An answer.
    pub(super) fn of(value: &impl Serialize) -> Outcome {
        Ok(Self {
            json: serde_json::to_vec(value)?,
            etag: None,
            not_modified: false,
        })
    }

    /// The answer to who has the content already.
    pub(super) fn not_modified() -> Self {
        Self {
            json: Vec::new(),
            etag: None,
            not_modified: true,
        }
    }

    /// The same, with an etag.
    pub(super) fn with_etag(self, etag: Option<nexus_fs::Etag>) -> Self {
        Self { etag, ..self }
    }
}

/// The parameters, typed. What is null counts as absent.
pub(super) fn parse<P: DeserializeOwned>(params: &str) -> Result<P, RpcError> {
    serde_json::from_str(params).map_err(|error| RpcError::bad_params(error.to_string()))
}
