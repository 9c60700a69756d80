//! What a caller confined to one subtree, or allowed to read only, may undo and learn.

use std::sync::Arc;

use async_trait::async_trait;
use nexus_fs::{
    At, OnConflict, RestoreOptions, Session, Stores, UndoOptions, UndoWhat, Zone, ZoneConfig,
};
use nexus_kernel::{Error, Kind, Result};
use nexus_service_api::{Action, Authorizer, Context, Principal, PrincipalKind, Target};

use crate::common::{cleared, operation, refused, remove, rename};
use crate::support::{memory_stores, put, text};

/// Users may do anything at and below `/team`; agents may read there.
struct Team;

impl Team {
    fn allows(who: &Context, action: Action, path: &str) -> bool {
        let below = path.strip_prefix("/team");
        let within = below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        let reads = matches!(action, Action::Read | Action::Stat);
        match who.principal.kind {
            PrincipalKind::System => true,
            PrincipalKind::User => within || (action == Action::Stat && path == "/"),
            _ => reads && (within || path == "/"),
        }
    }
}

#[async_trait]
impl Authorizer for Team {
    async fn authorize(&self, who: &Context, action: Action, target: Target<'_>) -> Result<()> {
        if Self::allows(who, action, target.path) {
            return Ok(());
        }
        Err(Error::denied("only /team is yours").with("path", target.path))
    }

    async fn visible(&self, who: &Context, targets: &[Target<'_>]) -> Result<Vec<bool>> {
        let seen = |target: &Target<'_>| Self::allows(who, Action::Stat, target.path);
        Ok(targets.iter().map(seen).collect())
    }

    async fn sees_all_below(&self, who: &Context, target: Target<'_>) -> bool {
        Self::allows(who, Action::Read, target.path)
    }
}

struct Callers {
    stores: Stores,
    _zone: Zone,
    system: Session,
    user: Session,
    reader: Session,
}

async fn callers() -> Callers {
    let stores = memory_stores();
    let zone = Zone::open(stores.clone(), Arc::new(Team), ZoneConfig::default());
    let zone = zone.await.unwrap();
    let caller = |kind, id: &str| {
        let principal = Principal {
            kind,
            id: id.to_owned(),
            ..Principal::system()
        };
        zone.session(Context::new(Arc::new(principal)))
    };
    Callers {
        system: zone.session(Context::system()),
        user: caller(PrincipalKind::User, "ada"),
        reader: caller(PrincipalKind::Agent, "reader"),
        _zone: zone,
        stores,
    }
}

#[tokio::test]
async fn who_may_only_read_undoes_and_restores_nothing() {
    let Callers { system, reader, .. } = &callers().await;
    put(system, "/team/a", "1").await;
    let first = system.revision().await.unwrap();
    put(system, "/team/a", "2").await;
    let second = system.revision().await.unwrap();
    refused(reader.undo(operation(second)).await, Kind::PermissionDenied);
    let restored = reader.restore("/team", At::Revision(first), RestoreOptions::default());
    refused(restored.await, Kind::PermissionDenied);
    assert_eq!(text(system, "/team/a").await, "2");
}

#[tokio::test]
async fn what_is_out_of_sight_is_not_undone_and_not_told() {
    let Callers { system, user, .. } = &callers().await;
    put(system, "/secret/a", "1").await;
    put(system, "/team/a", "1").await;
    let before = system.revision().await.unwrap();
    put(system, "/secret/a", "2").await;
    let hidden = system.revision().await.unwrap();
    put(system, "/team/a", "2").await;
    rename(system, "/secret", "/team/secret").await;
    rename(system, "/team/secret", "/secret").await;
    let newest = system.revision().await.unwrap();
    refused(user.undo(operation(hidden)).await, Kind::NotFound);
    let range = UndoWhat::Range {
        from: before.next(),
        to: newest,
    };
    let report = user.undo(UndoOptions::new(range)).await.unwrap();
    assert_eq!(text(system, "/team/a").await, "1");
    assert_eq!(text(system, "/secret/a").await, "2");
    assert!(!format!("{report:?}").contains("secret"), "{report:?}");
}

#[tokio::test]
async fn a_conflict_tells_nothing_of_where_a_file_went_out_of_sight() {
    let Callers { system, user, .. } = &callers().await;
    put(system, "/team/a", "1").await;
    put(user, "/team/a", "2").await;
    let ours = user.revision().await.unwrap();
    put(system, "/secret/b", "1").await;
    rename(system, "/team/a", "/secret/a").await;
    put(system, "/secret/a", "3").await;
    for on_conflict in [OnConflict::Abort, OnConflict::Skip] {
        let dry_run = UndoOptions {
            dry_run: true,
            on_conflict,
            ..operation(ours)
        };
        let told = format!("{:?}", user.undo(dry_run).await.unwrap());
        assert!(!told.contains("secret"), "{told}");
        assert!(told.contains("/team/a"), "{told}");
    }
    let force = UndoOptions {
        on_conflict: OnConflict::Force,
        ..operation(ours)
    };
    let error = refused(user.undo(force).await, Kind::PermissionDenied);
    assert!(!error.to_string().contains("secret"), "{error}");
    assert_eq!(text(system, "/secret/a").await, "3");
}

/// Who may not see where a file went gets it back neither by a link nor by its content.
#[tokio::test]
async fn what_was_moved_out_of_sight_is_not_linked_back() {
    for written in [false, true] {
        let Callers { system, user, .. } = &callers().await;
        put(system, "/secret/a", "1").await;
        put(system, "/team/x", "1").await;
        let from = rename(user, "/team/x", "/team/y").await;
        let mut to = rename(system, "/team/y", "/secret/y").await;
        put(system, "/secret/y", "2").await;
        if written {
            to = system.revision().await.unwrap();
        }
        for on_conflict in [OnConflict::Abort, OnConflict::Skip, OnConflict::Force] {
            let what = UndoWhat::Range { from, to };
            let options = UndoOptions {
                on_conflict,
                ..UndoOptions::new(what)
            };
            let told = format!("{:?}", user.undo(options).await);
            assert!(!told.contains("secret"), "{told}");
            assert!(
                !system.exists("/team/x", At::Latest).await.unwrap(),
                "{told}"
            );
            assert_eq!(text(system, "/secret/y").await, "2");
        }
    }
}

/// That there is an operation out of sight, and who undid it, is not told.
#[tokio::test]
async fn an_operation_out_of_sight_is_as_good_as_none() {
    let Callers { system, user, .. } = &callers().await;
    put(system, "/team/a", "1").await;
    put(system, "/secret/a", "1").await;
    let hidden = system.revision().await.unwrap();
    let told = refused(user.undo(operation(hidden)).await, Kind::NotFound);
    system.undo(operation(hidden)).await.unwrap();
    let undone = refused(user.undo(operation(hidden)).await, Kind::NotFound);
    assert_eq!(undone.to_string(), told.to_string());
}

/// Nothing is brought back, not even out of sight, for who may not have it.
#[tokio::test]
async fn who_may_only_read_makes_a_zone_write_nothing() {
    let Callers {
        system,
        reader,
        stores,
        ..
    } = &callers().await;
    put(system, "/team/d/a", "1").await;
    put(system, "/team/d/e/b", "1").await;
    let by = remove(system, "/team/d").await;
    cleared(stores).await;
    let before = system.revision().await.unwrap();
    refused(reader.undo(operation(by)).await, Kind::PermissionDenied);
    assert_eq!(system.revision().await.unwrap(), before);
}
