//! REST.

use nexus_tests::http::{encode, file};
use serde_json::json;

use super::*;

pub(super) fn ask(http: &Http, ask: &Ask) -> Told {
    told(request(http, ask), ask)
}

fn request(http: &Http, ask: &Ask) -> Answer {
    let query = |call: &str, name: &str, value: &str| {
        http.get(&format!("/api/v2/{call}?{name}={}", encode(value)))
    };
    let put = |path: &str, content: &Bytes| {
        let request = http.request("PUT", &format!("{}?parents=true", file(path)));
        request.body(content.clone())
    };
    let post = |call: &str, body: Value| http.post(&format!("/api/v2/{call}"), &body);
    match ask {
        Ask::Read(path) => http.read(path),
        Ask::Range(path, from, to) => {
            let request = http.request("GET", &file(path));
            request
                .header("Range", &format!("bytes={from}-{}", to - 1))
                .send()
        }
        Ask::Stat(path) => query("stat", "path", path),
        Ask::Write(path, content) => put(path, content).send(),
        Ask::WriteOver(path, content, etag) => put(path, content)
            .header("If-Match", &format!("\"{etag}\""))
            .send(),
        Ask::Create(path, content) => put(path, content).header("If-None-Match", "*").send(),
        Ask::Remove(path) => http.remove(path),
        Ask::Mkdir(path) => post("mkdir", json!({ "path": path })),
        Ask::Rename(from, to) => post(
            "rename",
            json!({ "from": from, "to": to, "replace": "refuse" }),
        ),
        Ask::List(path) => query("list", "path", path),
        Ask::Glob(pattern) => query("glob", "pattern", pattern),
        Ask::Grep(pattern) => query("grep", "pattern", pattern),
        Ask::Edits(path, count) => {
            let edits = vec![json!({ "old": "a", "new": "b" }); *count];
            post("edit", json!({ "path": path, "edits": edits }))
        }
    }
}

fn told(answer: Answer, ask: &Ask) -> Told {
    if !(200..300).contains(&answer.status) {
        return Err(of_rest(&answer));
    }
    let each_path = |entries: Vec<Value>| Ok(paths(&entries, "path"));
    match ask {
        Ask::Read(_) | Ask::Range(..) => Ok(answer.body.into()),
        Ask::List(_) => each_path(answer.json()["entries"].as_array().expect("a page").clone()),
        Ask::Glob(_) | Ask::Grep(_) => match answer.lines() {
            lines if lines.iter().any(|line| line.get("error").is_some()) => Err(of_details(
                &lines[lines.len() - 1]["error"],
                answer.status.into(),
            )),
            lines => each_path(lines),
        },
        _ => Ok(Bytes::new()),
    }
}
