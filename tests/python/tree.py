"""Directories, listings and searches."""

from datetime import datetime

from support import client, raises, run_checks, same
from nexus_client import NexusError, NexusFileNotFoundError, ValidationError

nx = client()


def _written(folder, *names):
    for name in names:
        nx.write(f"{folder}/{name}", f"this is {name}\n")
    return [f"{folder}/{name}" for name in names]


def a_directory_is_made_and_removed(folder):
    nx.mkdir(folder)
    assert nx.is_directory(folder) and nx.exists(folder)
    with raises(FileExistsError):
        nx.mkdir(folder)
    nx.mkdir(folder, exist_ok=True)
    with raises(NexusFileNotFoundError):
        nx.mkdir(f"{folder}/a/b")
    nx.mkdir(f"{folder}/a/b", parents=True)
    assert nx.is_directory(f"{folder}/a")
    nx.rmdir(f"{folder}/a/b")
    assert not nx.exists(f"{folder}/a/b")


def a_directory_with_something_in_it_is_removed_only_on_request(folder):
    _written(folder, "a/b")
    with raises(ValidationError):
        nx.rmdir(folder)
    nx.rmdir(folder, recursive=True)
    assert not nx.exists(folder)


def a_file_is_no_directory(folder):
    [path] = _written(folder, "a")
    same(nx.is_directory(path), False)
    same(nx.is_directory(f"{folder}/missing"), False)


def a_listing_is_recursive_unless_told_otherwise(folder):
    paths = _written(folder, "a", "d/b", "d/e/c", ".hidden")
    same(sorted(nx.list(folder)), sorted(paths))
    same(sorted(nx.list(folder, recursive=False)), sorted([f"{folder}/{name}" for name in ["a", "d", ".hidden"]]))
    same(sorted(nx.list(folder, prefix=f"{folder}/d/")), [f"{folder}/d/b", f"{folder}/d/e/c"])
    assert set(paths) <= set(nx.list())


def a_listing_may_bring_details(folder):
    [path] = _written(folder, "d/page.html")
    file, directory = nx.list(folder, details=True)[::-1]
    same((directory["path"], directory["is_directory"]), (f"{folder}/d", True))
    same((file["path"], file["is_directory"], file["mime_type"]), (path, False, "text/html"))
    stat = nx.stat(path)
    same([file[name] for name in ["size", "etag", "modified_at"]], [stat[name] for name in ["size", "etag", "modified_at"]])
    datetime.fromisoformat(file["created_at"])


def a_missing_directory_lists_as_empty(folder):
    same(nx.list(folder), [])


def a_long_listing_comes_whole_or_in_pages(folder):
    paths = [f"{folder}/{number:04}" for number in range(1_500)]
    nx.write_batch([(path, b"") for path in paths[:750]])
    nx.write_batch([(path, b"") for path in paths[750:]])
    same(nx.list(folder), paths)
    found, cursor = [], None
    while True:
        page = nx._call_rpc("list", {"path": folder, "limit": 400, "cursor": cursor})
        found += page["files"]
        cursor = page["next_cursor"]
        same(page["has_more"], cursor is not None)
        if cursor is None:
            break
    same(found, paths)


def globs_find_files_newest_first(folder):
    a, b, c, d = _written(folder, "a.py", "src/b.py", "src/deep/c.py", "src/d.txt")
    same(nx.glob("**/*.py", folder), [c, b, a])
    same(nx.glob("*.py", folder), [a])
    same(nx.glob("src/*", folder), [d, b])
    same(nx.glob(f"{folder}/src/**/*.{{txt,py}}"), [d, c, b])
    same(nx.glob("**/[!a-b].py", folder), [c])
    same(nx.glob("*.none", folder), [])
    nx.write(a, b"newer")
    same(nx.glob("**/*.py", folder), [a, c, b])


def grep_finds_lines(folder):
    nx.write(f"{folder}/a.py", "import os\n\nprint('Hello')\n")
    nx.write(f"{folder}/b.txt", "hello there\n")
    nx.write(f"{folder}/binary", b"\x00\x01hello\n")
    found = nx.grep(r"print\('(\w+)'\)", folder)
    same(found, [{"file": f"{folder}/a.py", "line": 3, "content": "print('Hello')", "match": "print('Hello')"}])
    same([match["file"] for match in nx.grep("hello", folder)], [f"{folder}/b.txt"])
    same(len(nx.grep("hello", folder, ignore_case=True)), 2)
    same(len(nx.grep("hello", folder, ignore_case=True, file_pattern="*.py")), 1)
    same(len(nx.grep("hello", folder, ignore_case=True, max_results=1)), 1)
    same(nx.grep("hello", folder, search_mode="thorough")[0]["match"], "hello")
    same(nx.grep("not there", folder), [])


def a_pattern_that_cannot_be_read_is_refused(folder):
    _written(folder, "a")
    with raises(ValidationError):
        nx.grep("(", folder)
    with raises(ValidationError):
        nx.glob("[", folder)


def the_directories_at_the_top_are_the_namespaces(folder):
    _written(folder, "a")
    assert folder[1:] in nx.get_available_namespaces()


def a_directory_is_renamed_with_all_below(folder):
    _written(folder, "a/b/c", "other/d")
    nx.rename(f"{folder}/a", f"{folder}/z")
    same(sorted(nx.list(folder)), [f"{folder}/other/d", f"{folder}/z/b/c"])
    with raises(FileExistsError):
        nx.rename(f"{folder}/z", f"{folder}/other")
    try:
        nx.rename(f"{folder}/z", f"{folder}/z/b/inside")
    except NexusError:
        same(nx.read(f"{folder}/z/b/c"), b"this is a/b/c\n")
    else:
        raise AssertionError("a directory was moved into itself")


if __name__ == "__main__":
    run_checks()
