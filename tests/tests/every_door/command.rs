//! The `nexus` command.

use serde_json::json;

use super::*;

pub(super) fn ask(cli: &Cli, ask: &Ask) -> Told {
    let edits = |count| vec![json!({ "old": "a", "new": "b" }); count];
    let (arguments, input): (Vec<&str>, Bytes) = match ask {
        Ask::Read(path) => (vec!["cat", path], Bytes::new()),
        Ask::Range(path, from, to) => return range(cli, path, *from, *to),
        Ask::Stat(path) => (vec!["stat", "--follow", path], Bytes::new()),
        Ask::Write(path, content) => (vec!["write", "-p", path], content.clone()),
        Ask::WriteOver(path, content, etag) => (
            vec!["write", "-p", path, "--if-match", etag],
            content.clone(),
        ),
        Ask::Create(path, content) => (vec!["write", "-p", path, "--create"], content.clone()),
        Ask::Remove(path) => (vec!["rm", path], Bytes::new()),
        Ask::Mkdir(path) => (vec!["mkdir", path], Bytes::new()),
        Ask::Rename(from, to) => (vec!["mv", "--no-clobber", from, to], Bytes::new()),
        Ask::List(path) => (vec!["ls", path], Bytes::new()),
        Ask::Glob(pattern) => (vec!["glob", "--", pattern], Bytes::new()),
        Ask::Grep(pattern) => (vec!["grep", "--", pattern], Bytes::new()),
        Ask::Edits(path, count) => {
            let edits = json!(edits(*count)).to_string();
            (vec!["edit", path, "--edits", "-"], edits.into())
        }
    };
    run(cli, ask, &arguments, &input)
}

fn range(cli: &Cli, path: &str, from: u64, to: u64) -> Told {
    let range = format!("{from}..{to}");
    let ask = Ask::Read(path.to_owned());
    run(cli, &ask, &["cat", path, "--range", &range], b"")
}

fn run(cli: &Cli, ask: &Ask, arguments: &[&str], input: &[u8]) -> Told {
    if matches!(ask, Ask::Read(_)) {
        let output = cli.run(arguments);
        if output.status.success() {
            return Ok(output.stdout.into());
        }
    }
    // As JSON, an error is for programs.
    let output = cli.run_with_input([&["--json"], arguments].concat(), input);
    let found_nothing = matches!(ask, Ask::Grep(_)) && output.stderr.is_empty();
    if output.status.success() || found_nothing {
        return Ok(match ask {
            Ask::List(_) | Ask::Glob(_) | Ask::Grep(_) => {
                paths(&json_lines(&output.stdout), "path")
            }
            _ => Bytes::new(),
        });
    }
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let code = output.status.code().expect("it ends by itself").into();
    match serde_json::from_str::<Value>(&said) {
        Ok(error) => Err(of_details(&error["error"], code)),
        // What cannot be typed is refused before there is an error to print.
        Err(_) => Err(Refusal {
            kind: "invalid_argument".to_owned(),
            message: said,
            code,
        }),
    }
}

fn json_lines(bytes: &[u8]) -> Vec<Value> {
    let text = String::from_utf8_lossy(bytes);
    let value = |line| serde_json::from_str(line).expect("every line is JSON");
    text.lines().map(value).collect()
}
