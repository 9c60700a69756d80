//! What a glob means, the slow way: braces are written out, then every wildcard tries every
//! length.

/// Whether a relative path matches a glob without escapes and with flat braces.
pub(super) fn matches(glob: &str, path: &str) -> bool {
    let names: Vec<&str> = path.split('/').collect();
    written_out(glob).iter().any(|glob| {
        let parts: Vec<&str> = glob.split('/').filter(|part| !part.is_empty()).collect();
        in_order(&parts, &names)
    })
}

/// One glob for each branch of each pair of braces.
fn written_out(glob: &str) -> Vec<String> {
    let Some((before, rest)) = glob.split_once('{') else {
        return vec![glob.to_owned()];
    };
    let (branches, after) = rest.split_once('}').expect("braces are closed");
    let with = |branch| written_out(&format!("{before}{branch}{after}"));
    branches.split(',').flat_map(with).collect()
}

fn in_order(parts: &[&str], names: &[&str]) -> bool {
    match parts {
        [] => names.is_empty(),
        ["**"] => !names.is_empty(),
        ["**", rest @ ..] => (0..=names.len()).any(|skipped| in_order(rest, &names[skipped..])),
        [part, rest @ ..] => names.split_first().is_some_and(|(name, names)| {
            let (part, name): (Vec<char>, Vec<char>) =
                (part.chars().collect(), name.chars().collect());
            name_matches(&part, &name) && in_order(rest, names)
        }),
    }
}

fn name_matches(part: &[char], name: &[char]) -> bool {
    match part {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|taken| name_matches(rest, &name[taken..])),
        ['[', rest @ ..] => {
            let end = rest
                .iter()
                .skip(1)
                .position(|c| *c == ']')
                .expect("classes are closed")
                + 1;
            let (class, rest) = (&rest[..end], &rest[end + 1..]);
            let among = |c: &char| match class {
                ['!', class @ ..] => !class.contains(c),
                class => class.contains(c),
            };
            name.split_first()
                .is_some_and(|(c, name)| among(c) && name_matches(rest, name))
        }
        [wanted, rest @ ..] => name
            .split_first()
            .is_some_and(|(c, name)| (*wanted == '?' || wanted == c) && name_matches(rest, name)),
    }
}
