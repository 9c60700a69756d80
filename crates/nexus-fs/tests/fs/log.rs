//! Reading the operation log: every filter, and pages both ways.

use std::sync::Arc;

use nexus_fs::{At, ChangeKind, LogPage, LogQuery, Record, RemoveOptions, Session, Zone};
use nexus_kernel::{Kind, Revision};
use nexus_service_api::{Context, Principal, PrincipalKind};

use crate::support::{fresh, put};

fn by(zone: &Zone, agent: &str, run: &str) -> Session {
    let mut context = Context::new(Arc::new(Principal {
        kind: PrincipalKind::Agent,
        id: agent.to_owned(),
        key_id: Some(format!("key-{agent}")),
        ..Principal::system()
    }));
    context.session = Some(run.into());
    context.program = Some(format!("program-{agent}").into());
    context.request_id = Some(format!("request-{agent}").into());
    context.on_behalf_of = Some(format!("user:boss-{agent}").into());
    zone.session(context)
}

fn revisions(records: &[Record]) -> Vec<Revision> {
    records.iter().map(|record| record.revision).collect()
}

/// The index of runs answers what a look through all of the log would.
#[tokio::test]
async fn a_run_is_found_among_others_in_order() {
    let (zone, files) = fresh().await;
    let runs = ["run", "run-1", "run-12"];
    for n in 0..60 {
        let session = by(&zone, "a", runs[n % 3]);
        put(&session, &format!("/{n}"), "x").await;
    }
    for newest_first in [false, true] {
        let everything = LogQuery {
            newest_first,
            ..LogQuery::default()
        };
        let all = files.log(everything.clone()).await.unwrap().records;
        for run in runs {
            let expected = all.iter().filter(|r| r.session.as_deref() == Some(run));
            let query = LogQuery {
                session: Some(run.to_owned()),
                ..everything.clone()
            };
            let found = files.log(query).await.unwrap().records;
            assert_eq!(found, expected.cloned().collect::<Vec<_>>(), "{run}");
            assert_eq!(found.len(), 20);
        }
    }
}

#[tokio::test]
async fn each_filter_leaves_what_it_names() {
    let (zone, files) = fresh().await;
    put(&by(&zone, "a", "one"), "/a", "x").await;
    let between = files.revision().await.unwrap();
    put(&by(&zone, "b", "two"), "/b", "x").await;
    by(&zone, "b", "two")
        .remove("/b", RemoveOptions::default())
        .await
        .unwrap();
    let text = |text: &str| Some(text.to_owned());
    let written = ChangeKind::FileWrite;
    let deleted = ChangeKind::FileDelete;
    expect(&files, 2, |query| query.actor = text("agent:b")).await;
    expect(&files, 1, |query| query.on_behalf_of = text("user:boss-a")).await;
    expect(&files, 2, |query| query.key_id = text("key-b")).await;
    expect(&files, 1, |query| query.program = text("program-a")).await;
    expect(&files, 2, |query| query.request_id = text("request-b")).await;
    expect(&files, 2, |query| query.session = text("two")).await;
    expect(&files, 0, |query| query.operation = text("undo")).await;
    expect(&files, 2, |query| query.path_prefix = text("/b")).await;
    expect(&files, 1, |query| query.kinds = vec![deleted]).await;
    expect(&files, 3, |query| query.kinds = vec![deleted, written]).await;
    expect(&files, 2, |query| query.since = Some(At::Revision(between))).await;
    expect(&files, 1, |query| {
        query.until = Some(At::Operation(between));
    })
    .await;
}

async fn expect(files: &Session, found: usize, set: impl FnOnce(&mut LogQuery)) {
    let mut query = LogQuery::default();
    set(&mut query);
    let records = files.log(query.clone()).await.unwrap().records;
    assert_eq!(records.len(), found, "{query:?}");
}

async fn page(files: &Session, query: &LogQuery, cursor: Option<String>) -> LogPage {
    let query = LogQuery {
        cursor,
        ..query.clone()
    };
    files.log(query).await.unwrap()
}

/// From the last page `previous` leads back over the very pages that `next` led to.
#[tokio::test]
async fn pages_lead_both_ways() {
    let (zone, files) = fresh().await;
    for n in 0..23 {
        put(&by(&zone, "a", ["x", "y"][n % 2]), &format!("/{n}"), "x").await;
    }
    for newest_first in [false, true] {
        for session in [None, Some("y".to_owned())] {
            let query = LogQuery {
                session,
                newest_first,
                limit: 4,
                ..LogQuery::default()
            };
            let mut forth = vec![page(&files, &query, None).await];
            while let Some(next) = forth.last().unwrap().next.clone() {
                forth.push(page(&files, &query, Some(next)).await);
            }
            assert_eq!(forth[0].previous, None);
            let mut back = vec![forth.last().unwrap().clone()];
            while let Some(previous) = back.last().unwrap().previous.clone() {
                back.push(page(&files, &query, Some(previous)).await);
            }
            back.reverse();
            let of = |pages: &[LogPage]| -> Vec<_> {
                pages.iter().map(|page| revisions(&page.records)).collect()
            };
            assert_eq!(of(&forth), of(&back));
            assert!(forth.len() > 2);
        }
    }
}

#[tokio::test]
async fn points_that_are_none_are_refused() {
    let (_zone, files) = fresh().await;
    put(&files, "/a", "x").await;
    let newest = files.revision().await.unwrap();
    let cases = [
        (At::Operation(newest), None),
        (At::Operation(Revision(newest.0 - 1)), Some(Kind::NotFound)),
        (At::Operation(newest.next()), Some(Kind::InvalidArgument)),
        (At::Snapshot("none".into()), Some(Kind::NotFound)),
    ];
    for (at, expected) in cases {
        let refused = files.stat("/a", at.clone()).await.err();
        assert_eq!(refused.map(|error| error.kind()), expected, "{at}");
    }
}
