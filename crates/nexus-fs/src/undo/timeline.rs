//! What one row was over time, and what of that still stands.
//!
//! Undoing is decided row by row. The writes to a row since the first that is to be undone
//! are a stack; an undo, which gives the row back a value that it had, takes from the stack what
//! it undid, and undoing that puts it back. So an undo and its undoing leave no trace here, and
//! what is left are the writes that made the row what it is.

use nexus_kernel::Revision;

/// A value of a row, and for how long it held.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Span<V> {
    pub since: Revision,
    /// None for the live one.
    pub end: Option<Revision>,
    pub value: V,
}

/// A value, or that it was collected from history: then it is not known, and like nothing else.
#[derive(Clone, Debug)]
pub(super) enum Known<V> {
    Is(V),
    Collected,
}

impl<V> Known<V> {
    pub(super) const fn value(&self) -> Option<&V> {
        match self {
            Self::Is(value) => Some(value),
            Self::Collected => None,
        }
    }
}

impl<V: PartialEq> PartialEq for Known<V> {
    fn eq(&self, other: &Self) -> bool {
        matches!((self, other), (Self::Is(one), Self::Is(other)) if one == other)
    }
}

/// A row from just before a revision on.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Timeline<V> {
    pub before: Option<V>,
    /// Each write with what the row was after it.
    pub writes: Vec<(Revision, Option<V>)>,
}

/// What a write did that is not among those to be undone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Foreign {
    /// It changed the row.
    Change,
    /// It may have given the row back a value that it had, undoing these revisions.
    Return(Vec<Revision>),
    /// The zone's own housekeeping, which is in no log.
    Unlogged,
}

/// How the writes that are to be undone stand in a row.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Standing<V> {
    /// None of them made the row what it is.
    Untouched,
    /// They did; the row was `before`. Writes of others, `by`, stand on them, if there are any.
    Touched {
        first: Revision,
        before: Option<V>,
        by: Vec<Revision>,
    },
}

impl<V> Standing<V> {
    pub(super) fn conflicts(&self) -> &[Revision] {
        match self {
            Self::Untouched => &[],
            Self::Touched { by, .. } => by,
        }
    }

    /// The value to go back to, if there is something to undo.
    pub(super) fn before(&self) -> Option<&Option<V>> {
        match self {
            Self::Untouched => None,
            Self::Touched { before, .. } => Some(before),
        }
    }
}

impl<V> Standing<Known<V>> {
    /// The value to go back to was collected.
    pub(super) const fn is_collected(&self) -> bool {
        matches!(
            self,
            Self::Touched {
                before: Some(Known::Collected),
                ..
            }
        )
    }
}

impl<V: Clone> Standing<Known<V>> {
    /// The value to go back to, if there is something to undo and it is known.
    pub(super) fn known_before(&self) -> Option<Option<V>> {
        match self.before()? {
            Some(known) => known.value().cloned().map(Some),
            None => Some(None),
        }
    }
}

impl<V> Timeline<Known<V>> {
    /// A side of what the row holds: of what was collected, each write may have been one to it.
    pub(super) fn side<W: PartialEq>(&self, side: impl Fn(&V) -> Option<W>) -> Timeline<Known<W>> {
        self.part(|known| match known {
            Known::Is(value) => side(value).map(Known::Is),
            Known::Collected => Some(Known::Collected),
        })
    }
}

impl<V: Clone> Timeline<V> {
    /// From states in the order of time.
    pub(super) fn new(spans: &[Span<V>], first: Revision) -> Self {
        let mut timeline = Self {
            before: None,
            writes: Vec::new(),
        };
        for span in spans {
            if span.end.is_some_and(|end| end < first) {
                continue;
            }
            let value = Some(span.value.clone());
            if span.since < first {
                timeline.before = value;
            } else {
                timeline.write(span.since, value);
            }
            if let Some(end) = span.end {
                timeline.write(end, None);
            }
        }
        timeline
    }

    /// A state that ends and the next one that begins are one write.
    fn write(&mut self, revision: Revision, value: Option<V>) {
        match self.writes.last_mut() {
            Some(last) if last.0 == revision => last.1 = value,
            _ => self.writes.push((revision, value)),
        }
    }
}

impl<V> Timeline<V> {
    /// A part of what the row holds: writes that left it alone are none to it.
    pub(super) fn part<W: PartialEq>(&self, part: impl Fn(&V) -> Option<W>) -> Timeline<W> {
        let before = self.before.as_ref().and_then(&part);
        let mut writes: Vec<(Revision, Option<W>)> = Vec::new();
        for (revision, value) in &self.writes {
            let value = value.as_ref().and_then(&part);
            let last = writes.last().map_or(&before, |(_, value)| value);
            if *last != value {
                writes.push((*revision, value));
            }
        }
        Timeline { before, writes }
    }
}

impl<V: Clone + PartialEq> Timeline<V> {
    /// Leaves out writes that changed nothing.
    pub(super) fn forget_repeated(&mut self) {
        *self = self.part(|value| Some(value.clone()));
    }

    /// How those among the writes that are `ours` stand.
    pub(super) fn standing(
        &self,
        ours: impl Fn(Revision) -> bool,
        foreign: impl Fn(Revision) -> Foreign,
    ) -> Standing<V> {
        self.stack(&ours, foreign).standing(ours)
    }

    /// The writes that are not `ours` and made the row what it is.
    pub(super) fn standing_foreign(
        &self,
        ours: impl Fn(Revision) -> bool,
        foreign: impl Fn(Revision) -> Foreign,
    ) -> Vec<Revision> {
        let stack = self.stack(&ours, foreign);
        let revisions = stack.entries.iter().map(|(revision, _)| *revision);
        revisions.filter(|revision| !ours(*revision)).collect()
    }

    /// What the row is after the last write.
    pub(super) fn now(&self) -> &Option<V> {
        self.writes.last().map_or(&self.before, |(_, value)| value)
    }

    fn stack(
        &self,
        ours: &impl Fn(Revision) -> bool,
        foreign: impl Fn(Revision) -> Foreign,
    ) -> Stack<'_, V> {
        let mut stack = Stack::new(&self.before);
        for (revision, value) in &self.writes {
            if ours(*revision) {
                stack.push(*revision, value);
                continue;
            }
            match foreign(*revision) {
                Foreign::Change => stack.push(*revision, value),
                Foreign::Unlogged => stack.give_back(*revision, value, None),
                Foreign::Return(about) => stack.give_back(*revision, value, Some(&about)),
            }
        }
        stack
    }
}

/// The writes that made a row what it is, the newest last.
struct Stack<'t, V> {
    before: &'t Option<V>,
    entries: Vec<(Revision, &'t Option<V>)>,
    cuts: Vec<Cut<'t, V>>,
}

/// What an undo took off the stack.
struct Cut<'t, V> {
    by: Revision,
    depth: usize,
    entries: Vec<(Revision, &'t Option<V>)>,
}

impl<'t, V: Clone + PartialEq> Stack<'t, V> {
    fn new(before: &'t Option<V>) -> Self {
        Self {
            before,
            entries: Vec::new(),
            cuts: Vec::new(),
        }
    }

    fn push(&mut self, revision: Revision, value: &'t Option<V>) {
        self.entries.push((revision, value));
    }

    /// A write that may return to an earlier value, or bring back what another one took away.
    fn give_back(&mut self, revision: Revision, value: &'t Option<V>, about: Option<&[Revision]>) {
        let depth = self.entries.len();
        let undone_cut = self.cuts.iter().rposition(|cut| {
            let meant = about.is_none_or(|about| about.contains(&cut.by));
            let last = cut.entries.last();
            meant && cut.depth == depth && last.is_some_and(|(_, last)| *last == value)
        });
        if let Some(index) = undone_cut {
            let cut = self.cuts.remove(index);
            self.entries.extend(cut.entries);
            return;
        }
        let below = |depth: usize| match depth.checked_sub(1) {
            Some(index) => self.entries[index].1,
            None => self.before,
        };
        match (0..=depth).rev().find(|depth| below(*depth) == value) {
            Some(depth) => {
                let entries = self.entries.split_off(depth);
                self.cuts.push(Cut {
                    by: revision,
                    depth,
                    entries,
                });
            }
            None => self.push(revision, value),
        }
    }

    fn standing(&self, ours: impl Fn(Revision) -> bool) -> Standing<V> {
        let Some(index) = self
            .entries
            .iter()
            .position(|(revision, _)| ours(*revision))
        else {
            return Standing::Untouched;
        };
        let before = match index.checked_sub(1) {
            Some(below) => self.entries[below].1,
            None => self.before,
        };
        let others = self.entries[index..].iter().map(|(revision, _)| *revision);
        Standing::Touched {
            first: self.entries[index].0,
            before: before.clone(),
            by: others.filter(|revision| !ours(*revision)).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
