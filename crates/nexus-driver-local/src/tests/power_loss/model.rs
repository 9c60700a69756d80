//! What the store owes.

use super::KEYS;

/// What a key may be: nothing, or the blob of a seed and a length.
pub(super) type State = Option<(u8, usize)>;

/// For each key the states it may have after power loss, the newest last.
#[derive(Clone, Debug)]
pub(super) struct Model {
    keys: Vec<Owed>,
}

#[derive(Clone, Debug)]
struct Owed {
    /// The last promised state and all that came after it.
    states: Vec<State>,
    /// A change whose outcome is unknown; it may show at any time.
    maybe: Vec<State>,
}

impl Default for Model {
    fn default() -> Self {
        let nothing = Owed {
            states: vec![None],
            maybe: Vec::new(),
        };
        Self {
            keys: vec![nothing; KEYS.len()],
        }
    }
}

impl Model {
    pub(super) fn now(&self, at: usize) -> State {
        *self.keys[at]
            .states
            .last()
            .expect("there is always a state")
    }

    /// Whether a running store may say that the key has a blob, or none.
    pub(super) fn may_exist(&self, at: usize, exists: bool) -> bool {
        let maybe = self.keys[at].maybe.iter();
        self.now(at).is_some() == exists || maybe.copied().any(|state| state.is_some() == exists)
    }

    pub(super) fn change(&mut self, at: usize, state: State) {
        self.keys[at].states.push(state);
    }

    /// The newest state will survive.
    pub(super) fn promise(&mut self, at: usize) {
        let now = self.now(at);
        self.keys[at].states = vec![now];
    }

    pub(super) fn maybe(&mut self, at: usize, state: State) {
        self.keys[at].maybe.push(state);
    }

    /// Whether a running store may show this.
    pub(super) fn shows(&self, at: usize, state: State) -> bool {
        same(self.now(at), state) || self.keys[at].has_maybe(state)
    }

    /// Whether a store may show this after power loss.
    pub(super) fn allows(&self, at: usize, state: State) -> bool {
        let owed = &self.keys[at];
        owed.states.iter().any(|allowed| same(*allowed, state)) || owed.has_maybe(state)
    }

    /// After a restart: what was found is what there is, and durable, if the power was off.
    pub(super) fn settle(&mut self, found: &[State], all_durable: bool) {
        for (owed, state) in self.keys.iter_mut().zip(found) {
            if all_durable {
                owed.states.clear();
            }
            owed.states.push(*state);
            owed.maybe.clear();
        }
    }

    pub(super) fn describe(&self, at: usize) -> String {
        format!("{:?}", self.keys[at])
    }
}

impl Owed {
    fn has_maybe(&self, state: State) -> bool {
        self.maybe.iter().any(|maybe| same(*maybe, state))
    }
}

/// Empty blobs look alike.
fn same(a: State, b: State) -> bool {
    a == b || matches!((a, b), (Some((_, 0)), Some((_, 0))))
}
