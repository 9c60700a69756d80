"""Reading, writing and changing files."""

from datetime import datetime, timedelta, timezone

from support import client, get, raises, run_checks, same
from nexus_client import ConflictError, NexusFileNotFoundError

nx = client()
EVERY_BYTE = bytes(range(256))


def what_is_written_is_read_byte_for_byte(folder):
    long = EVERY_BYTE * 12_000
    for name, content in [("empty", b""), ("bytes", EVERY_BYTE), ("long", long), ("héllo wörld", b"x")]:
        written = nx.write(f"{folder}/{name}", content)
        same(written["size"], len(content))
        same(nx.read(f"{folder}/{name}"), content)


def text_is_written_as_utf8(folder):
    nx.write(f"{folder}/a", "grüße\n")
    same(nx.read(f"{folder}/a"), "grüße\n".encode())


def a_write_says_what_it_wrote(folder):
    first = nx.write(f"{folder}/a", b"one")
    same((first["version"], first["size"]), (1, 3))
    second = nx.write(f"{folder}/a", b"three")
    same((second["version"], second["size"]), (2, 5))
    assert first["etag"] != second["etag"]
    same(second["bytes_written"]["etag"], second["etag"])
    age = datetime.now(timezone.utc) - second["modified_at"]
    assert abs(age) < timedelta(minutes=5), age


def a_read_may_bring_the_metadata(folder):
    written = nx.write(f"{folder}/a", EVERY_BYTE)
    read = nx.read(f"{folder}/a", return_metadata=True)
    same(read.pop("content"), EVERY_BYTE)
    same(read, {name: written[name] for name in ["etag", "version", "modified_at", "size"]})


def parts_of_a_file_are_read(folder):
    nx.write(f"{folder}/a", b"0123456789")
    same(nx.read_range(f"{folder}/a", 2, 5), b"234")
    same(nx.read_range(f"{folder}/a", 8, 100), b"89")
    same(nx.read_range(f"{folder}/a", 10, 20), b"")
    same(b"".join(nx.stream(f"{folder}/a", chunk_size=3)), b"0123456789")


def a_stream_is_written_as_one_file(folder):
    written = nx.write_stream(f"{folder}/a", iter([b"one ", b"", b"two"]))
    same((written["size"], written["version"]), (7, 1))
    same(nx.read(f"{folder}/a"), b"one two")


def an_append_makes_the_file_and_grows_it(folder):
    same(nx.append(f"{folder}/log", "one\n")["version"], 1)
    appended = nx.append(f"{folder}/log", b"two\n")
    same((appended["version"], appended["size"]), (2, 8))
    same(nx.read(f"{folder}/log"), b"one\ntwo\n")
    with raises(ConflictError):
        nx.append(f"{folder}/log", b"three\n", if_match="stale")
    nx.append(f"{folder}/log", b"three\n", if_match=appended["etag"])
    nx.append(f"{folder}/log", b"four\n", if_match="stale", force=True)
    same(nx.read(f"{folder}/log"), b"one\ntwo\nthree\nfour\n")


def a_write_goes_through_if_the_file_is_as_it_was(folder):
    first = nx.write(f"{folder}/a", b"one")
    second = nx.write(f"{folder}/a", b"two", if_match=first["etag"])
    try:
        nx.write(f"{folder}/a", b"lost update", if_match=first["etag"])
    except ConflictError as conflict:
        same(conflict.path, f"{folder}/a")
        same((conflict.expected_etag, conflict.current_etag), (first["etag"], second["etag"]))
    else:
        raise AssertionError("a stale etag was accepted")
    same(nx.read(f"{folder}/a"), b"two")
    nx.write(f"{folder}/a", b"forced", if_match=first["etag"], force=True)
    same(nx.read(f"{folder}/a"), b"forced")


def a_write_may_ask_that_the_file_is_new(folder):
    nx.write(f"{folder}/a", b"one", if_none_match=True)
    with raises(FileExistsError):
        nx.write(f"{folder}/a", b"two", if_none_match=True)
    same(nx.read(f"{folder}/a"), b"one")


def many_files_are_read_in_one_call(folder):
    nx.write(f"{folder}/a", EVERY_BYTE)
    nx.write(f"{folder}/b", b"")
    paths = [f"{folder}/{name}" for name in ["a", "b", "missing"]]
    same(nx.read_bulk(paths), dict(zip(paths, [EVERY_BYTE, b"", None])))
    detailed = nx.read_bulk(paths, return_metadata=True)
    same((detailed[paths[0]]["content"], detailed[paths[0]]["size"]), (EVERY_BYTE, 256))
    same(detailed[paths[2]], None)
    with raises(NexusFileNotFoundError, paths[2]):
        nx.read_bulk(paths, skip_errors=False)


def many_files_are_written_all_or_none(folder):
    written = nx.write_batch([(f"{folder}/a", b"one"), (f"{folder}/deep/b", EVERY_BYTE)])
    same([(file["size"], file["version"]) for file in written], [(3, 1), (256, 1)])
    same(nx.read(f"{folder}/deep/b"), EVERY_BYTE)
    same(nx.write_batch([]), [])
    try:
        nx.write_batch([(f"{folder}/c", b"not alone"), (f"{folder}/a/below a file", b"")])
    except Exception:
        assert not nx.exists(f"{folder}/c")
    else:
        raise AssertionError("a file was written below a file")


def a_deleted_file_is_gone(folder):
    nx.write(f"{folder}/a", b"one")
    nx.delete(f"{folder}/a")
    assert not nx.exists(f"{folder}/a")
    with raises(NexusFileNotFoundError, f"{folder}/a"):
        nx.delete(f"{folder}/a")


def a_renamed_file_keeps_its_content_and_replaces_nothing(folder):
    nx.write(f"{folder}/a", b"one")
    nx.rename(f"{folder}/a", f"{folder}/new/b")
    same(nx.read(f"{folder}/new/b"), b"one")
    assert not nx.exists(f"{folder}/a")
    nx.write(f"{folder}/c", b"three")
    with raises(FileExistsError):
        nx.rename(f"{folder}/new/b", f"{folder}/c")
    same(nx.read(f"{folder}/c"), b"three")


def a_copy_is_a_file_of_its_own(folder):
    nx.write(f"{folder}/a", EVERY_BYTE)
    paths = {"src_path": f"{folder}/a", "dst_path": f"{folder}/new/b"}
    same(nx._call_rpc("copy", paths), {"copied": True})
    nx.write(f"{folder}/a", b"changed")
    same(nx.read(f"{folder}/new/b"), EVERY_BYTE)


def bulk_changes_answer_for_each_path(folder):
    for name in ["a", "b", "full/c"]:
        nx.write(f"{folder}/{name}", b"x")
    renamed = nx.rename_bulk([(f"{folder}/a", f"{folder}/z"), (f"{folder}/missing", f"{folder}/y")])
    same(renamed[f"{folder}/a"], {"success": True, "new_path": f"{folder}/z"})
    same(renamed[f"{folder}/missing"]["success"], False)
    assert renamed[f"{folder}/missing"]["error"]
    deleted = nx.delete_bulk([f"{folder}/z", f"{folder}/full", f"{folder}/missing"])
    same([deleted[f"{folder}/{name}"]["success"] for name in ["z", "full", "missing"]], [True, False, False])
    deleted = nx.delete_bulk([f"{folder}/full"], recursive=True)
    same(deleted, {f"{folder}/full": {"success": True}})
    same(nx.list(folder), [f"{folder}/b"])


def attributes_tell_of_files_and_directories(folder):
    written = nx.write(f"{folder}/page.html", b"<p>")
    stat = nx.stat(f"{folder}/page.html")
    same((stat["size"], stat["version"], stat["is_directory"]), (3, 1, False))
    same(stat["etag"], written["etag"])
    same(datetime.fromisoformat(stat["modified_at"]), written["modified_at"])
    assert nx.stat(folder)["is_directory"]

    metadata = nx.get_metadata(f"{folder}/page.html")
    same((metadata["path"], metadata["mime_type"]), (f"{folder}/page.html", "text/html"))
    same((metadata["mode"] & 0o777, metadata["is_directory"]), (0o644, False))
    same(metadata["modified_at"], written["modified_at"])
    assert metadata["owner"] and metadata["group"] and metadata["created_at"] <= metadata["modified_at"]
    same(nx.get_metadata(folder)["is_directory"], True)
    same(nx.get_metadata(f"{folder}/missing"), None)


def etags_are_had_without_the_content(folder):
    etag = nx.write(f"{folder}/a", b"one")["etag"]
    nx.write(f"{folder}/b", b"one")
    same(nx.get_etag(f"{folder}/a"), etag)
    same(nx.get_etag(f"{folder}/missing"), None)
    paths = [f"{folder}/a", f"{folder}/b", f"{folder}/missing"]
    same(nx.batch_get_content_ids(paths), dict(zip(paths, [etag, etag, None])))


def an_edit_replaces_passages(folder):
    nx.write(f"{folder}/a.py", b"def one():\n    return 1\n")
    edits = [["return 1", "return 2"], {"old_str": "def one", "new_str": "def two", "hint_line": 1}]
    edited = nx._call_rpc("edit", {"path": f"{folder}/a.py", "edits": edits, "preview": True})
    same((edited["success"], edited["version"]), (True, 1))
    edited = nx._call_rpc("edit", {"path": f"{folder}/a.py", "edits": edits})
    same((edited["success"], edited["applied_count"], edited["version"]), (True, 2, 2))
    same([match["match_type"] for match in edited["matches"]], ["exact", "exact"])
    assert "-def one():\n-    return 1\n+def two():\n+    return 2\n" in edited["diff"], edited["diff"]
    same(nx.read(f"{folder}/a.py"), b"def two():\n    return 2\n")


def an_edit_that_finds_nothing_changes_nothing(folder):
    nx.write(f"{folder}/a", b"one\n")
    edited = nx._call_rpc("edit", {"path": f"{folder}/a", "edits": [["something else", "x"]]})
    same((edited["success"], edited["applied_count"]), (False, 0))
    same(nx.stat(f"{folder}/a")["version"], 1)


def the_node_says_how_it_is():
    health = get("/health", key=None).json()
    same((health["status"], health["has_auth"]), ("healthy", True))
    assert isinstance(health["enforce_permissions"], bool) and health["service"]


if __name__ == "__main__":
    run_checks()
