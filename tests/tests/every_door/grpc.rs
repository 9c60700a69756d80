//! gRPC, by way of the Rust client.

use futures::{StreamExt, TryStreamExt};
use nexus_client::{
    Edit, EditOptions, Error, GlobQuery, GrepQuery, ListOptions, MkdirOptions, MoveOptions,
    Precondition, ReadOptions, RemoveOptions, Result, WriteOptions,
};

use super::*;

pub(super) async fn ask(client: &Client, ask: &Ask) -> Told {
    answer(client, ask).await.map_err(|error| of_grpc(&error))
}

async fn answer(client: &Client, ask: &Ask) -> Result<Bytes> {
    let write = |precondition| WriteOptions {
        precondition,
        parents: true,
        ..WriteOptions::default()
    };
    match ask {
        Ask::Read(path) => Ok(client.read(path, ReadOptions::default()).await?.bytes),
        Ask::Range(path, from, to) => {
            let options = ReadOptions {
                offset: *from,
                length: Some(to - from),
                ..ReadOptions::default()
            };
            Ok(client.read(path, options).await?.bytes)
        }
        Ask::Stat(path) => done(client.stat(path, "".into()).await),
        Ask::Write(path, content) => done(
            client
                .write(path, content.clone(), write(Precondition::None))
                .await,
        ),
        Ask::WriteOver(path, content, etag) => {
            let options = write(Precondition::Etag(etag.clone()));
            done(client.write(path, content.clone(), options).await)
        }
        Ask::Create(path, content) => done(
            client
                .write(path, content.clone(), write(Precondition::Absent))
                .await,
        ),
        Ask::Remove(path) => done(client.remove(path, RemoveOptions::default()).await),
        Ask::Mkdir(path) => done(client.mkdir(path, MkdirOptions::default()).await),
        Ask::Rename(from, to) => {
            let options = MoveOptions {
                replace: nexus_client::Replace::Refuse,
                ..MoveOptions::default()
            };
            done(client.rename(from, to, options).await)
        }
        Ask::List(path) => list(client, path).await,
        Ask::Glob(pattern) => glob(client, pattern).await,
        Ask::Grep(pattern) => grep(client, pattern).await,
        Ask::Edits(path, count) => {
            let edit = Edit {
                old: "a".to_owned(),
                new: "b".to_owned(),
                ..Edit::default()
            };
            done(
                client
                    .edit(path, vec![edit; *count], EditOptions::default())
                    .await,
            )
        }
    }
}

async fn list(client: &Client, path: &str) -> Result<Bytes> {
    let page = client.list(path, ListOptions::default()).await?;
    Ok(lines(page.items.into_iter().map(|entry| entry.path)))
}

async fn glob(client: &Client, pattern: &str) -> Result<Bytes> {
    let query = GlobQuery {
        pattern: pattern.to_owned(),
        path: "/".to_owned(),
        ..GlobQuery::default()
    };
    let found: Vec<_> = client.glob(query).await?.try_collect().await?;
    Ok(lines(found.into_iter().map(|entry| entry.path)))
}

async fn grep(client: &Client, pattern: &str) -> Result<Bytes> {
    let query = GrepQuery {
        pattern: pattern.to_owned(),
        path: "/".to_owned(),
        ..GrepQuery::default()
    };
    let found = client.grep(query).await?.map_ok(|found| found.path);
    let found: Vec<String> = found.boxed().try_collect().await?;
    Ok(lines(found.into_iter()))
}

fn done<T>(result: Result<T>) -> Result<Bytes> {
    result.map(|_| Bytes::new())
}

fn of_grpc(error: &Error) -> Refusal {
    Refusal {
        kind: error.kind().as_str().to_owned(),
        message: error.to_string(),
        code: 0,
    }
}
