//! The doors of a real server on a free port, over stores in memory.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

mod archive;
mod auth;
mod conditions;
mod connections;
mod feed;
mod grpc;
mod inodes;
mod json_rpc;
mod json_rpc_files;
mod json_rpc_keys;
mod locks;
mod messages;
mod observing;
mod on_behalf_of;
mod points;
mod rest;
mod rest_content;
mod slow_socket;
mod support;
