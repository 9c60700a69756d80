//! Globs over paths.

mod parse;

use nexus_kernel::{Error, Result};
use regex::{Regex, RegexBuilder};

use crate::path;
use parse::{Token, components, regex_text};

/// A glob, absolute or relative to a base directory.
///
/// `*` and `?` stay within a component, `**` as a whole component crosses any number of them,
/// `[a-z]` and `[!a-z]` are one character, `{a,b/c}` is any of its branches, `\` takes the next
/// character literally. `?` and `[..]` are characters, not bytes, and never a `/`; that, and
/// pruning by component, is why globs are compiled here and not by a crate that works on bytes.
#[derive(Clone, Debug)]
pub struct PathPattern {
    /// The directory that the components are relative to; empty for the root.
    base: String,
    whole: Regex,
    components: Vec<Component>,
}

#[derive(Clone, Debug)]
enum Component {
    Literal(String),
    Glob(Regex),
    /// Holds `**`, or branches that contain a `/`: any number of components.
    Any,
}

/// Most bytes of memory a compiled glob may take.
const COMPILED_BYTES_MAX: usize = 10 << 20;

impl PathPattern {
    /// Most bytes in a glob.
    pub const BYTES_MAX: usize = 4_096;

    /// Compiles `glob`, relative to the directory `base` unless it begins with a `/`.
    ///
    /// # Errors
    ///
    /// `InvalidArgument`, with the reason, for a glob that is malformed; `LimitExceeded` for one
    /// that is too long.
    pub fn new(glob: &str, base: &str) -> Result<Self> {
        let base = if glob.starts_with('/') {
            ""
        } else {
            base.trim_end_matches('/')
        };
        Self::compile(glob, base).map_err(|error| error.with("pattern", path::shown(glob)))
    }

    /// As [`new`](Self::new), but a glob without a `/` matches the name of a file at any depth
    /// below `base`, as in `.gitignore`.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub fn for_names(glob: &str, base: &str) -> Result<Self> {
        if glob.contains('/') {
            return Self::new(glob, base);
        }
        let base = base.trim_end_matches('/');
        Self::compile(&format!("**/{glob}"), base)
            .map_err(|error| error.with("pattern", path::shown(glob)))
    }

    fn compile(glob: &str, base: &str) -> Result<Self> {
        if glob.len() > Self::BYTES_MAX {
            return Err(Error::limit("the glob is too long; split it into several")
                .with("bytes_max", Self::BYTES_MAX));
        }
        let parts = components(glob)?;
        if parts.is_empty() {
            return Err(Error::invalid("the glob is empty; ** matches everything"));
        }
        let whole = compiled(&parts.join(&Token::Slash))?;
        let components = parts
            .iter()
            .map(|part| component(part))
            .collect::<Result<_>>()?;
        Ok(Self {
            base: base.to_owned(),
            whole,
            components,
        })
    }

    /// Whether an absolute, normalised path matches.
    #[must_use]
    pub fn matches(&self, path: &str) -> bool {
        self.relative(path)
            .is_some_and(|path| !path.is_empty() && self.whole.is_match(path))
    }

    /// The one path that can match, if the glob has no wildcard.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        let mut path = self.base.clone();
        for component in &self.components {
            let Component::Literal(name) = component else {
                return None;
            };
            path.push('/');
            path.push_str(name);
        }
        Some(path)
    }

    /// The deepest directory below which every match lies.
    #[must_use]
    pub fn base_dir(&self) -> String {
        let mut dir = self.base.clone();
        let (_, parents) = self
            .components
            .split_last()
            .expect("a glob has a component");
        for component in parents {
            let Component::Literal(name) = component else {
                break;
            };
            dir.push('/');
            dir.push_str(name);
        }
        if dir.is_empty() { "/".to_owned() } else { dir }
    }

    /// Whether anything below the directory `dir` may match. `false` is certain, `true` is not.
    #[must_use]
    pub fn may_match_below(&self, dir: &str) -> bool {
        let dir = dir.trim_end_matches('/');
        let Some(below) = self.relative(dir) else {
            return dir.len() <= self.base.len() && path::is_within(&self.base, dir);
        };
        let mut components = self.components.iter();
        for name in below.split('/').filter(|name| !name.is_empty()) {
            match components.next() {
                Some(Component::Any) => return true,
                Some(component) if component.matches(name) => {}
                _ => return false,
            }
        }
        components.next().is_some()
    }

    /// `path` without the base; none if it is not below.
    fn relative<'a>(&self, path: &'a str) -> Option<&'a str> {
        path.strip_prefix(self.base.as_str())?.strip_prefix('/')
    }
}

impl Component {
    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Literal(literal) => literal == name,
            Self::Glob(regex) => regex.is_match(name),
            Self::Any => true,
        }
    }
}

fn component(tokens: &[Token]) -> Result<Component> {
    let crosses = tokens
        .windows(2)
        .any(|pair| pair == [Token::Star, Token::Star]);
    if crosses || tokens.contains(&Token::Slash) {
        return Ok(Component::Any);
    }
    let literal: Option<String> = tokens
        .iter()
        .map(|token| match token {
            Token::Literal(c) => Some(*c),
            _ => None,
        })
        .collect();
    match literal {
        Some(name) => Ok(Component::Literal(name)),
        None => compiled(tokens).map(Component::Glob),
    }
}

fn compiled(tokens: &[Token]) -> Result<Regex> {
    RegexBuilder::new(&regex_text(tokens))
        .size_limit(COMPILED_BYTES_MAX)
        .build()
        .map_err(|error| {
            Error::invalid("the glob is too complex; use fewer wildcards and braces").because(error)
        })
}

#[cfg(test)]
mod tests;
