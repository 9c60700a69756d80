//! Keys and care.

use futures::stream::BoxStream;
use nexus_kernel::{Result, Timestamp};
use nexus_proto::v1;

use crate::connection::Client;
use crate::convert;
use crate::error::{from_status, from_status_of_change, misunderstood};
use crate::reads::{items, pages};
use crate::types::admin::{
    GcReport, Identity, Key, KeyUpdate, NewKey, NewKeyOptions, VerifyProgress,
};
use crate::types::files::Page;

impl Client {
    /// Who the key says the caller is.
    ///
    /// # Errors
    ///
    /// `Unauthenticated` for a key that is unknown, revoked or expired.
    pub async fn whoami(&self) -> Result<Identity> {
        let answer = self
            .admin()
            .whoami(v1::WhoamiRequest {})
            .await
            .map_err(from_status)?;
        convert::identity(answer.into_inner())
    }

    /// Makes a key. Needs a key with admin rights.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`, `InvalidArgument`.
    pub async fn create_key(&self, options: NewKeyOptions) -> Result<NewKey> {
        let request = v1::CreateKeyRequest {
            name: options.name,
            kind: convert::principal_kind_to_wire(options.kind),
            id: options.id,
            zone: options.zone.unwrap_or_default(),
            rights: convert::rights_to_wire(options.rights),
            prefix: options.prefix,
            expires_ns: options.expires.map(|time| time.0),
        };
        let answer = self
            .admin()
            .create_key(request)
            .await
            .map_err(from_status_of_change)?;
        let v1::CreateKeyResponse { key, secret } = answer.into_inner();
        let key = key.ok_or_else(|| misunderstood("a secret without its key"))?;
        Ok(NewKey {
            key: convert::key(key)?,
            secret,
        })
    }

    /// Every key, revoked ones included. Needs a key with admin rights.
    #[must_use]
    pub fn keys(&self) -> BoxStream<'static, Result<Key>> {
        let client = self.clone();
        pages(None, move |cursor| {
            let client = client.clone();
            async move {
                let request = v1::ListKeysRequest {
                    limit: 0,
                    cursor: cursor.unwrap_or_default(),
                };
                let answer = client
                    .admin()
                    .list_keys(request)
                    .await
                    .map_err(from_status)?;
                let v1::ListKeysResponse { keys, next } = answer.into_inner();
                let items = keys.into_iter().map(convert::key).collect::<Result<_>>()?;
                Ok(Page {
                    items,
                    next: convert::cursor(next),
                })
            }
        })
    }

    /// What is known of one key. Needs a key with admin rights.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn key(&self, key_id: &str) -> Result<Key> {
        let request = v1::GetKeyRequest {
            key_id: key_id.to_owned(),
        };
        let answer = self.admin().get_key(request).await.map_err(from_status)?;
        convert::key(answer.into_inner())
    }

    /// Changes a key, with effect on the next call that comes with it. Needs a key with admin
    /// rights.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`, `InvalidArgument` for a key that was revoked, `Conflict`
    /// for the last admin key that does not expire.
    pub async fn update_key(&self, key_id: &str, update: KeyUpdate) -> Result<Key> {
        use v1::update_key_request::End;
        let end = |end: Option<Timestamp>| {
            end.map_or(End::NeverExpires(true), |time| End::ExpiresNs(time.0))
        };
        let request = v1::UpdateKeyRequest {
            key_id: key_id.to_owned(),
            name: update.name,
            rights: update.rights.map_or(0, convert::rights_to_wire),
            end: update.expires.map(end),
        };
        let answer = self
            .admin()
            .update_key(request)
            .await
            .map_err(from_status_of_change)?;
        convert::key(answer.into_inner())
    }

    /// Ends a key at once. Needs a key with admin rights.
    ///
    /// # Errors
    ///
    /// `NotFound`, `PermissionDenied`.
    pub async fn revoke_key(&self, key_id: &str) -> Result<Key> {
        let request = v1::RevokeKeyRequest {
            key_id: key_id.to_owned(),
        };
        let answer = self
            .admin()
            .revoke_key(request)
            .await
            .map_err(from_status_of_change)?;
        convert::key(answer.into_inner())
    }

    /// Removes what retention lets go of history, and content that nothing refers to any more, or
    /// just counts it. Needs a key with
    /// admin rights.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`.
    pub async fn gc(&self, dry_run: bool) -> Result<GcReport> {
        let answer = self.admin().gc(v1::GcRequest { dry_run }).await;
        let report = answer.map_err(from_status_of_change)?.into_inner();
        Ok(GcReport {
            rows: report.rows,
            versions: report.versions,
            blobs: report.blobs,
            bytes: report.bytes,
            dry_run: report.dry_run,
        })
    }

    /// Reads everything back and compares it with its hashes, reporting as it goes. Needs a key
    /// with admin rights.
    ///
    /// # Errors
    ///
    /// `PermissionDenied`.
    pub async fn verify(&self) -> Result<BoxStream<'static, Result<VerifyProgress>>> {
        let answer = self
            .admin()
            .verify(v1::VerifyRequest {})
            .await
            .map_err(from_status)?;
        Ok(items(answer.into_inner(), |wire: v1::VerifyProgress| {
            Ok(VerifyProgress {
                checked_files: wire.checked_files,
                checked_blobs: wire.checked_blobs,
                checked_bytes: wire.checked_bytes,
                problem: wire.problem,
                done: wire.done,
            })
        }))
    }
}
