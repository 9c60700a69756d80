//! The service `Admin`.

use nexus_kernel::{Result, Timestamp};
use nexus_proto::v1::admin_server::Admin;
use nexus_proto::v1::*;
use nexus_service_api::{Context, KeyInfo, KeyUpdate, NewKey};
use tonic::{Request, Response};

use super::convert::{cursor, unknown};
use super::{Answers, Reply, answers, caller, status};
use crate::app::Shared;
use crate::paging::page_limit;

pub(super) struct AdminDoor(pub(super) Shared);

#[tonic::async_trait]
impl Admin for AdminDoor {
    type VerifyStream = Answers<VerifyProgress>;

    async fn whoami(&self, request: Request<WhoamiRequest>) -> Reply<WhoamiResponse> {
        let (context, WhoamiRequest {}) = caller(request)?;
        let principal = &context.principal;
        Ok(Response::new(WhoamiResponse {
            kind: kind(principal.kind).into(),
            id: principal.id.clone(),
            key_id: principal.key_id.clone(),
            zone: principal.zone.clone(),
            rights: rights(principal.rights).into(),
            prefix: principal.prefix.clone(),
        }))
    }

    async fn create_key(&self, request: Request<CreateKeyRequest>) -> Reply<CreateKeyResponse> {
        let (context, ask) = caller(request)?;
        let new = new_key(ask, &context).map_err(status)?;
        let created = self
            .0
            .app
            .keys
            .create(&context, new)
            .await
            .map_err(status)?;
        Ok(Response::new(CreateKeyResponse {
            key: Some(key(created.info)),
            secret: created.secret,
        }))
    }

    async fn list_keys(&self, request: Request<ListKeysRequest>) -> Reply<ListKeysResponse> {
        let (context, ask) = caller(request)?;
        let limit = page_limit(Some(ask.limit as usize)).map_err(status)?;
        let cursor = cursor(ask.cursor);
        let page = self
            .0
            .app
            .keys
            .list(&context, limit, cursor.as_deref())
            .await
            .map_err(status)?;
        Ok(Response::new(ListKeysResponse {
            keys: page.keys.into_iter().map(key).collect(),
            next: page.next.unwrap_or_default(),
        }))
    }

    async fn get_key(&self, request: Request<GetKeyRequest>) -> Reply<Key> {
        let (context, ask) = caller(request)?;
        let info = self
            .0
            .app
            .keys
            .get(&context, &ask.key_id)
            .await
            .map_err(status)?;
        Ok(Response::new(key(info)))
    }

    async fn revoke_key(&self, request: Request<RevokeKeyRequest>) -> Reply<Key> {
        let (context, ask) = caller(request)?;
        let info = self
            .0
            .app
            .keys
            .revoke(&context, &ask.key_id)
            .await
            .map_err(status)?;
        Ok(Response::new(key(info)))
    }

    async fn update_key(&self, request: Request<UpdateKeyRequest>) -> Reply<Key> {
        let (context, ask) = caller(request)?;
        let key_id = ask.key_id.clone();
        let update = key_update(ask).map_err(status)?;
        let keys = &self.0.app.keys;
        let info = keys.update(&context, &key_id, update).await;
        Ok(Response::new(key(info.map_err(status)?)))
    }

    async fn gc(&self, request: Request<GcRequest>) -> Reply<GcResponse> {
        let (context, ask) = caller(request)?;
        let report = self
            .0
            .files(context)
            .gc(ask.dry_run)
            .await
            .map_err(status)?;
        let nexus_fs::GcReport {
            rows,
            versions,
            blobs,
            bytes,
            dry_run,
        } = report;
        Ok(Response::new(GcResponse {
            rows,
            versions,
            blobs,
            bytes,
            dry_run,
        }))
    }

    async fn verify(&self, request: Request<VerifyRequest>) -> Reply<Self::VerifyStream> {
        let (context, VerifyRequest {}) = caller(request)?;
        Ok(Response::new(answers(
            self.0.files(context).verify(),
            progress,
        )))
    }
}

fn new_key(ask: CreateKeyRequest, context: &Context) -> Result<NewKey> {
    Ok(NewKey {
        kind: asked_kind(ask.kind)?,
        rights: asked_rights(ask.rights)?,
        name: ask.name,
        id: ask.id,
        zone: if ask.zone.is_empty() {
            context.principal.zone.clone()
        } else {
            ask.zone
        },
        prefix: ask.prefix,
        expires: ask.expires_ns.map(Timestamp),
    })
}

fn key_update(ask: UpdateKeyRequest) -> Result<KeyUpdate> {
    use update_key_request::End;
    Ok(KeyUpdate {
        name: ask.name,
        rights: match Rights::try_from(ask.rights) {
            Ok(Rights::Unspecified) => None,
            _ => Some(asked_rights(ask.rights)?),
        },
        rights_max: None,
        expires: match ask.end {
            None | Some(End::NeverExpires(false)) => None,
            Some(End::NeverExpires(true)) => Some(None),
            Some(End::ExpiresNs(nanos)) => Some(Some(Timestamp(nanos))),
        },
    })
}

fn key(info: KeyInfo) -> Key {
    Key {
        key_id: info.key_id,
        name: info.name,
        kind: kind(info.kind).into(),
        id: info.id,
        zone: info.zone,
        rights: rights(info.rights).into(),
        prefix: info.prefix,
        created_ns: info.created.0,
        expires_ns: info.expires.map(|time| time.0),
        revoked_ns: info.revoked.map(|time| time.0),
    }
}

fn kind(kind: nexus_service_api::PrincipalKind) -> PrincipalKind {
    match kind {
        nexus_service_api::PrincipalKind::User => PrincipalKind::User,
        nexus_service_api::PrincipalKind::Agent => PrincipalKind::Agent,
        nexus_service_api::PrincipalKind::System => PrincipalKind::System,
    }
}

fn asked_kind(value: i32) -> Result<nexus_service_api::PrincipalKind> {
    match PrincipalKind::try_from(value) {
        Ok(PrincipalKind::Unspecified | PrincipalKind::User) => {
            Ok(nexus_service_api::PrincipalKind::User)
        }
        Ok(PrincipalKind::Agent) => Ok(nexus_service_api::PrincipalKind::Agent),
        Ok(PrincipalKind::System) | Err(_) => Err(unknown("kind", value)),
    }
}

fn rights(rights: nexus_service_api::Rights) -> Rights {
    match rights {
        nexus_service_api::Rights::ReadOnly => Rights::ReadOnly,
        nexus_service_api::Rights::ReadWrite => Rights::ReadWrite,
        nexus_service_api::Rights::Admin => Rights::Admin,
    }
}

fn asked_rights(value: i32) -> Result<nexus_service_api::Rights> {
    match Rights::try_from(value) {
        Ok(Rights::ReadOnly) => Ok(nexus_service_api::Rights::ReadOnly),
        Ok(Rights::ReadWrite) => Ok(nexus_service_api::Rights::ReadWrite),
        Ok(Rights::Admin) => Ok(nexus_service_api::Rights::Admin),
        Ok(Rights::Unspecified) | Err(_) => Err(unknown("rights", value)),
    }
}

fn progress(step: nexus_fs::VerifyProgress) -> VerifyProgress {
    let nexus_fs::VerifyProgress {
        checked_files,
        checked_blobs,
        checked_bytes,
        problem,
        done,
    } = step;
    VerifyProgress {
        checked_files,
        checked_blobs,
        checked_bytes,
        problem,
        done,
    }
}
