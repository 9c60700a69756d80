//! Work in as few commits as hold it.

use nexus_kernel::{Error, Kind, Result};

/// Things to be done a few at a time, as many as one commit holds.
pub(crate) struct Parts<'p, T> {
    rest: &'p [T],
    size: usize,
}

impl<'p, T> Parts<'p, T> {
    pub(crate) fn new(all: &'p [T]) -> Self {
        Self {
            rest: all,
            size: all.len(),
        }
    }

    /// What is to be done next.
    pub(crate) fn next(&self) -> Option<&'p [T]> {
        let next = &self.rest[..self.size.min(self.rest.len())];
        Some(next).filter(|next| !next.is_empty())
    }

    pub(crate) fn done(&mut self) {
        self.rest = &self.rest[self.size.min(self.rest.len())..];
    }

    /// Takes fewer, if what failed was too much for one commit.
    pub(crate) fn smaller(&mut self, error: Error) -> Result<()> {
        if error.kind() != Kind::LimitExceeded || self.size <= 1 {
            return Err(error);
        }
        self.size = self.size.div_ceil(2);
        Ok(())
    }
}
