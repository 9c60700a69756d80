//! Content that is no longer what was written.

use super::*;

/// A node with three files that are blobs, and one of many chunks; stopped, so that everything is
/// in its place.
fn with_files() -> Home {
    let home = Home::new();
    let node = home.start();
    let mut random = Random::new(1);
    for (path, size) in FILES {
        node.http().write(path, random.content(size)).ok();
    }
    assert!(node.stop().success());
    home
}

const FILES: [(&str, usize); 4] = [
    ("/flipped", 100_000),
    ("/cut", 200_000),
    ("/gone", 300_000),
    ("/chunks", 5_000_000),
];

/// The file of the one blob that a content is.
fn blob_of(node: &Node<'_>, home: &Home, path: &str) -> PathBuf {
    let etag = node.http().read(path).ok().header("etag").replace('"', "");
    let found = blobs(&home.data().join("objects/blobs"));
    let named = found
        .into_iter()
        .find(|blob| blob.to_string_lossy().contains(&etag));
    named.unwrap_or_else(|| panic!("there is no blob {etag}"))
}

/// All files below a folder.
fn blobs(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is there");
    let paths = entries.map(|entry| entry.expect("it can be read").path());
    let below = |path: PathBuf| {
        if path.is_dir() {
            blobs(&path)
        } else {
            vec![path]
        }
    };
    paths.flat_map(below).collect()
}

fn flip_a_bit(path: &Path) {
    let mut bytes = fs::read(path).expect("it was just found");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(path, bytes).expect("the folder is ours");
}

/// Damages every file but the last.
fn damage(home: &Home) {
    let node = home.start();
    let [flipped, cut, gone] = ["/flipped", "/cut", "/gone"].map(|path| blob_of(&node, home, path));
    assert!(node.stop().success());
    flip_a_bit(&flipped);
    let half = fs::read(&cut).expect("it was just found")[..100_000].to_vec();
    fs::write(&cut, half).expect("the folder is ours");
    fs::remove_file(&gone).expect("it was just found");
}

#[test]
fn a_damaged_blob_is_named_and_never_handed_out() {
    let home = with_files();
    damage(&home);
    let node = home.start();
    let (http, cli) = (node.http(), node.cli());
    for (path, word) in [
        ("/flipped", "damaged"),
        ("/cut", "damaged"),
        ("/gone", "missing"),
    ] {
        let etag = http.get(&format!("/api/v2/stat?path={path}")).ok().json()["etag"].clone();
        let answer = http.read(path);
        refused(&answer, 500, "corrupt", &[word, "restore it from a backup"]);
        assert_eq!(answer.json()["error"]["context"]["etag"], etag, "{path}");
        let ranged = http.request("GET", &format!("/api/v2/files{path}"));
        let ranged = ranged.header("Range", "bytes=10-19").send();
        refused(&ranged, 500, "corrupt", &[word]);
        let read = cli.run(["cat", path]);
        assert_eq!(read.status.code(), Some(8), "{path}");
        assert!(read.stdout.is_empty(), "{path}");
        let said = cli.run(["verify"]);
        let etag = etag.as_str().expect("a file has an etag");
        assert_eq!(said.status.code(), Some(8));
        assert!(
            String::from_utf8_lossy(&said.stdout).contains(etag),
            "{path}"
        );
    }
    assert!(http.read("/chunks").ok().body.len() == 5_000_000);
    assert!(node.stop().success());
}

#[test]
fn a_damaged_file_can_be_written_anew() {
    let home = with_files();
    damage(&home);
    let node = home.start();
    for path in ["/flipped", "/cut", "/gone"] {
        node.http().write(path, "whole again").ok();
        assert_eq!(node.http().read(path).ok().body, b"whole again");
    }
    // Its history is still damaged, and told to be.
    let problems = String::from_utf8_lossy(&node.cli().run(["verify"]).stdout).into_owned();
    assert!(problems.contains("3 problems"), "{problems}");
}

#[test]
fn a_file_with_a_damaged_chunk_breaks_off_before_it() {
    let home = with_files();
    let chunks = blobs(&home.data().join("objects/blobs"));
    let largest = chunks
        .iter()
        .max_by_key(|path| path.metadata().expect("it is there").len());
    flip_a_bit(largest.expect("there are blobs"));
    let node = home.start();
    let whole = Random::new(1).content(600_000 + 5_000_000).slice(600_000..);
    let read = node.cli().run(["cat", "/chunks"]);
    assert_eq!(read.status.code(), Some(8));
    assert!(read.stdout.len() < whole.len());
    assert!(
        whole.starts_with(&read.stdout),
        "something was handed out that was never written"
    );
    let complaint = String::from_utf8_lossy(&read.stderr).into_owned();
    assert!(
        complaint.contains("damaged") && complaint.contains("etag: b3-"),
        "{complaint}"
    );
    let answer = node
        .http()
        .request("GET", "/api/v2/files/chunks")
        .try_send();
    assert!(answer.is_err(), "a broken body looks whole");
    assert_eq!(node.cli().run(["verify"]).status.code(), Some(8));
    assert_eq!(node.http().read("/flipped").ok().body.len(), 100_000);
}
