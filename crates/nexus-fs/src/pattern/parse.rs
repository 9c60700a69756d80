//! From the text of a glob to tokens, and from tokens to a regular expression.

use std::iter::Peekable;
use std::str::Chars;

use nexus_kernel::{Error, Result};

/// What a glob is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(char),
    /// `?`
    One,
    /// `*`; two of them as a whole component cross `/`.
    Star,
    /// `[..]`
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `{`
    Open,
    /// `,` inside braces
    Or,
    /// `}`
    Close,
    Slash,
}

/// Splits a glob at each `/` outside of braces, and drops the components that name nothing.
pub(super) fn components(glob: &str) -> Result<Vec<Vec<Token>>> {
    let mut depth = 0_usize;
    let mut parts = vec![Vec::new()];
    for token in tokens(glob)? {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        if token == Token::Slash && depth == 0 {
            parts.push(Vec::new());
        } else {
            parts
                .last_mut()
                .expect("there is always a last part")
                .push(token);
        }
    }
    parts.retain(|part| !part.is_empty() && *part != [Token::Literal('.')]);
    if parts
        .iter()
        .any(|part| *part == [Token::Literal('.'), Token::Literal('.')])
    {
        return Err(Error::invalid(
            "a glob has no .. component; name the directory itself",
        ));
    }
    Ok(parts)
}

fn tokens(glob: &str) -> Result<Vec<Token>> {
    let mut chars = glob.chars().peekable();
    let mut tokens = Vec::with_capacity(glob.len());
    let mut depth = 0_usize;
    while let Some(c) = chars.next() {
        let token = match c {
            '\0' => return Err(Error::invalid("a glob has no NUL character")),
            '/' => Token::Slash,
            '?' => Token::One,
            '*' => Token::Star,
            '[' => class(&mut chars)?,
            '{' => Token::Open,
            '}' if depth == 0 => {
                return Err(Error::invalid(
                    "a } in the glob closes nothing; write \\} for itself",
                ));
            }
            '}' => Token::Close,
            ',' if depth > 0 => Token::Or,
            '\\' => Token::Literal(chars.next().ok_or_else(|| {
                Error::invalid("the glob ends in a \\ that escapes nothing; write \\\\ for itself")
            })?),
            c => Token::Literal(c),
        };
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        tokens.push(token);
    }
    if depth > 0 {
        return Err(Error::invalid(
            "a { in the glob is never closed; add }, or write \\{ for itself",
        ));
    }
    Ok(tokens)
}

/// What follows a `[`, up to its `]`.
fn class(chars: &mut Peekable<Chars<'_>>) -> Result<Token> {
    let unclosed =
        || Error::invalid("a [ in the glob is never closed; add ], or write \\[ for itself");
    let negated = chars.next_if(|c| matches!(c, '!' | '^')).is_some();
    let mut ranges = Vec::new();
    loop {
        let low = match chars.next().ok_or_else(unclosed)? {
            ']' if !ranges.is_empty() => return Ok(Token::Class { negated, ranges }),
            '\\' => chars.next().ok_or_else(unclosed)?,
            c => c,
        };
        let mut high = low;
        let mut ahead = chars.clone();
        if ahead.next() == Some('-') && ahead.next().is_some_and(|c| c != ']') {
            chars.next();
            high = match chars.next().ok_or_else(unclosed)? {
                '\\' => chars.next().ok_or_else(unclosed)?,
                c => c,
            };
        }
        if low > high {
            return Err(Error::invalid(
                "a range in the glob runs backwards; put the lower end first",
            )
            .with("range", format!("{low}-{high}")));
        }
        ranges.push((low, high));
    }
}

/// A regular expression that matches a relative path as a whole.
pub(super) fn regex_text(tokens: &[Token]) -> String {
    let mut text = String::from("(?s)^");
    let mut rest = tokens;
    let mut before = None;
    while let Some(token) = rest.first() {
        let taken = match rest {
            [Token::Star, Token::Star, after @ ..] if starts_component(before) => {
                push_any_depth(&mut text, after)
            }
            _ => push_token(&mut text, token),
        };
        before = rest.get(taken - 1);
        rest = &rest[taken..];
    }
    text.push('$');
    text
}

/// Two stars at the start of a component, and what comes after them. Returns how many tokens
/// that was.
fn push_any_depth(text: &mut String, after: &[Token]) -> usize {
    match after.first() {
        Some(Token::Slash) => {
            text.push_str("(?:[^/]+/)*");
            3
        }
        None | Some(Token::Or | Token::Close) => {
            text.push_str(".+");
            2
        }
        Some(_) => {
            text.push_str("[^/]*");
            2
        }
    }
}

fn push_token(text: &mut String, token: &Token) -> usize {
    match token {
        Token::Literal(c) => push_escaped(text, *c),
        Token::One => text.push_str("[^/]"),
        Token::Star => text.push_str("[^/]*"),
        Token::Class { negated, ranges } => push_class(text, *negated, ranges),
        Token::Open => text.push_str("(?:"),
        Token::Or => text.push('|'),
        Token::Close => text.push(')'),
        Token::Slash => text.push('/'),
    }
    1
}

fn push_class(text: &mut String, negated: bool, ranges: &[(char, char)]) {
    text.push_str(if negated { "[[^" } else { "[[" });
    for (low, high) in ranges {
        push_escaped(text, *low);
        text.push('-');
        push_escaped(text, *high);
    }
    text.push_str("]&&[^/]]");
}

fn push_escaped(text: &mut String, c: char) {
    text.push_str(&regex::escape(c.encode_utf8(&mut [0; 4])));
}

fn starts_component(before: Option<&Token>) -> bool {
    matches!(before, None | Some(Token::Slash | Token::Open | Token::Or))
}
