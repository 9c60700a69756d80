//! What may go, by the policies of a zone at a time.

use std::cmp::Reverse;

use nexus_kernel::{Result, Revision, Timestamp};

use super::{RETENTION_DEFAULT, RetentionPolicy};
use crate::pattern::PathPattern;
use crate::zone::Shared;

/// The policies as of a time: ages have become revisions.
pub(super) struct Plan {
    /// What ended up to here goes, wherever it was.
    pub floor: Revision,
    /// The most specific first.
    rules: Vec<Rule>,
}

/// What one policy lets go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// States that ended up to here.
    pub ended_until: Option<Revision>,
    /// Versions beyond so many of the newest.
    pub versions_max: Option<u64>,
}

struct Rule {
    pattern: PathPattern,
    limits: Limits,
}

impl Plan {
    pub(super) async fn make(zone: &Shared, now: Timestamp) -> Result<Self> {
        let mut policies = zone.policies().await?;
        let reach = reach(&policies);
        policies.sort_by_cached_key(|policy| Reverse(specificity(policy)));
        let mut rules = Vec::with_capacity(policies.len());
        for policy in policies {
            let mut limits = Limits {
                versions_max: policy.limits.max_versions,
                ..Limits::default()
            };
            if let Some(age) = policy.limits.max_age {
                limits.ended_until = Some(zone.revision_before(now, age).await?);
            }
            rules.push(Rule {
                pattern: PathPattern::new(&policy.pattern, "/")?,
                limits,
            });
        }
        let mut floor = zone.floor.get();
        if let Some(age) = reach {
            floor = floor.max(zone.revision_before(now, age).await?);
        }
        Ok(Self { floor, rules })
    }

    /// Whether nothing can go.
    pub(super) fn is_idle(&self) -> bool {
        self.floor == Revision::ZERO && !self.has_rules()
    }

    /// Whether paths matter.
    pub(super) fn has_rules(&self) -> bool {
        let limited = |rule: &Rule| rule.limits != Limits::default();
        self.rules.iter().any(limited)
    }

    /// What goes of a path, besides what goes everywhere.
    pub(super) fn limits(&self, path: &str) -> Limits {
        let rule = self.rules.iter().find(|rule| rule.pattern.matches(path));
        rule.map(|rule| rule.limits).unwrap_or_default()
    }
}

/// The age that every policy lets everything go at, if there is one: without a policy for
/// everything, what none is for is kept.
fn reach(policies: &[RetentionPolicy]) -> Option<std::time::Duration> {
    let is_default = |policy: &RetentionPolicy| policy.pattern == RETENTION_DEFAULT;
    policies.iter().find(|policy| is_default(policy))?;
    let ages = policies.iter().map(|policy| policy.limits.max_age);
    ages.collect::<Option<Vec<_>>>()?.into_iter().max()
}

/// Orders policies: the greater holds.
fn specificity(policy: &RetentionPolicy) -> (bool, usize, usize, Reverse<String>) {
    let text = policy.pattern.clone();
    let Ok(pattern) = PathPattern::new(&text, "/") else {
        // It was checked when it was set.
        return (false, 0, 0, Reverse(text));
    };
    let fixed = crate::path::names(&pattern.base_dir()).count();
    (
        pattern.literal().is_some(),
        fixed,
        text.len(),
        Reverse(text),
    )
}
