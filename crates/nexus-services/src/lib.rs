//! The services of a zone, each a closed module over `nexus-service-api`.
//!
//! * [`identity`]: keys, and whose they are.
//! * [`authorizer`]: what a key's rights and prefix allow.
#![deny(missing_docs)]

pub mod authorizer;
pub mod identity;
mod prefix;
