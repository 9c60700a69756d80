//! The protocols between the filesystem, the services and the doors.
//!
//! * [`Context`] and [`Principal`]: who asks, taken from a credential and nothing else;
//!   [`parse_actor`] reads the name of one. A [`Fence`] is the lease that a change stands on.
//! * [`Authorizer`]: the one place that decides whether they may.
//! * [`Settings`]: small values kept with the zone they belong to.
//! * [`KeyService`]: the credentials callers come with.
//! * [`Clock`] and [`Entropy`]: time and randomness as parameters.
#![deny(missing_docs)]

mod actor;
mod authorizer;
mod context;
mod env;
mod fence;
mod keys;
mod settings;

pub use actor::{ACTOR_BYTES_MAX, parse_actor};
pub use authorizer::{Action, Authorizer, Target};
pub use context::{Context, Principal, PrincipalKind, Revocation, Rights};
pub use env::{Clock, Entropy, SystemClock, SystemEntropy};
pub use fence::{FENCES_MAX, Fence};
pub use keys::{CreatedKey, KeyInfo, KeyPage, KeyService, KeyUpdate, NewKey};
pub use settings::{Expect, Setting, Settings};
