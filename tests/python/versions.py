"""What a file has been."""

from support import client, raises, run_checks, same
from nexus_client import NexusFileNotFoundError

nx = client()


def _written(path, *contents):
    return [nx.write(path, content) for content in contents]


def versions_are_listed_newest_first(folder):
    path = f"{folder}/a.txt"
    written = _written(path, b"one", b"two", b"three")
    versions = nx.list_versions(path)
    same([version["version"] for version in versions], [3, 2, 1])
    same([version["size"] for version in versions], [5, 3, 3])
    same([version["content_hash"] for version in versions], [file["etag"] for file in written[::-1]])
    same([version["parent_version_id"] for version in versions], [2, 1, None])
    same({version["mime_type"] for version in versions}, {"text/plain"})
    same(versions[0]["created_at"], written[2]["modified_at"])
    assert all(version["created_by"] for version in versions)


def an_old_version_is_read(folder):
    contents = [b"one", bytes(range(256)) * 5_000, b""]
    _written(f"{folder}/a", *contents)
    same([nx.get_version(f"{folder}/a", number) for number in [1, 2, 3]], contents)
    with raises(NexusFileNotFoundError):
        nx.get_version(f"{folder}/a", 4)


def a_rollback_is_a_new_version(folder):
    first, _ = _written(f"{folder}/a", b"one", b"two")
    same(nx.rollback(f"{folder}/a", 1), None)
    same(nx.read(f"{folder}/a"), b"one")
    stat = nx.stat(f"{folder}/a")
    same((stat["version"], stat["etag"]), (3, first["etag"]))
    same(nx.get_version(f"{folder}/a", 2), b"two")
    with raises(NexusFileNotFoundError):
        nx.rollback(f"{folder}/a", 9)


def versions_are_compared(folder):
    first, second = _written(f"{folder}/a", b"same\none\n", b"same\nthree\n")
    compared = nx.diff_versions(f"{folder}/a", 1, 2)
    same((compared["content_hash_v1"], compared["content_hash_v2"]), (first["etag"], second["etag"]))
    same((compared["content_changed"], compared["size_delta"]), (True, 2))
    diff = nx.diff_versions(f"{folder}/a", 1, 2, mode="content")
    assert " same\n-one\n+three\n" in diff, diff
    same(nx.diff_versions(f"{folder}/a", 2, 2)["content_changed"], False)
    with raises(NexusFileNotFoundError):
        nx.diff_versions(f"{folder}/a", 1, 9)


def a_renamed_file_keeps_its_versions(folder):
    _written(f"{folder}/a", b"one", b"two")
    nx.rename(f"{folder}/a", f"{folder}/b")
    same(nx.get_version(f"{folder}/b", 1), b"one")
    with raises(NexusFileNotFoundError):
        nx.list_versions(f"{folder}/a")


if __name__ == "__main__":
    run_checks()
