"""Each error arrives as the client's own exception, and changes nothing."""

from support import URL, client, get, raises, run_checks, same
from nexus_client import (
    ConflictError,
    InvalidPathError,
    NexusError,
    NexusFileNotFoundError,
    RemoteFilesystemError,
    RemoteNexusFS,
    ValidationError,
)

nx = client()


def what_is_not_there_is_not_found(folder):
    path = f"{folder}/missing"
    for call in [nx.read, nx.stat, nx.delete, nx.list_versions, nx.rmdir]:
        with raises(NexusFileNotFoundError, path):
            call(path)
    with raises(NexusFileNotFoundError, path):
        nx.read_range(path, 0, 1)
    with raises(NexusFileNotFoundError, path):
        nx.rename(path, f"{folder}/b")
    # Programs catch it as Python's own, too.
    try:
        nx.read(path)
    except FileNotFoundError:
        pass


def a_path_that_cannot_be_is_refused():
    for path in ["", "relative", "/a/../b", "/a/./b", "/nul\0"]:
        with raises(InvalidPathError):
            nx.write(path, b"")
        with raises(InvalidPathError):
            nx.read(path)


def a_name_has_a_limit():
    with raises(ValidationError, "255 bytes"):
        nx.write("/" + "x" * 300, b"")


def a_file_is_no_directory_and_a_directory_no_file(folder):
    nx.write(f"{folder}/a", b"")
    for call in [
        lambda: nx.write(f"{folder}/a/b", b""),
        lambda: nx.write(folder, b""),
        lambda: nx.read(folder),
        lambda: nx.rmdir(f"{folder}/a"),
    ]:
        with raises(InvalidPathError):
            call()


def a_stale_etag_is_a_conflict(folder):
    nx.write(f"{folder}/a", b"one")
    with raises(ConflictError, "modified by another agent"):
        nx.write(f"{folder}/a", b"two", if_match="b3-" + "0" * 64)
    with raises(ConflictError):
        nx.write(f"{folder}/a", b"two", if_match="an etag of another server")


def bad_parameters_are_named(folder):
    nx.write(f"{folder}/a", b"0123")
    with raises(NexusError, "-32602", "path"):
        nx._call_rpc("read", {})
    with raises(NexusError, "-32602", "end"):
        nx.read_range(f"{folder}/a", 3, 1)
    with raises(NexusError, "-32602"):
        nx.read_range(f"{folder}/a", -1, 1)
    with raises(ValidationError):
        nx.rmdir("/", recursive=True)


def unknown_parameters_are_ignored(folder):
    nx.write(f"{folder}/a", b"one")
    same(nx._call_rpc("read", {"path": f"{folder}/a", "colour": "red"}), b"one")


def without_a_key_nothing_is_answered():
    for key in [None, "sk-wrong", "not a key"]:
        stranger = client(key)
        try:
            stranger.read("/a")
        except RemoteFilesystemError as error:
            same(error.status_code, 401)
            assert '"detail"' in str(error), error
        else:
            raise AssertionError("a stranger was let in")
    same(get("/api/auth/whoami", key=None).status_code, 401)


def a_zone_of_others_is_refused(folder):
    other = client()
    other.tenant_id = "another"
    try:
        other.write(f"{folder}/a", b"")
    except RemoteFilesystemError as error:
        same(error.status_code, 403)
    else:
        raise AssertionError("a key was let into another zone")
    assert not nx.exists(f"{folder}/a")


def a_server_address_may_end_in_a_slash(folder):
    with_slash = RemoteNexusFS(URL + "/", api_key=nx.api_key)
    with_slash.write(f"{folder}/a", b"one")
    same(nx.read(f"{folder}/a"), b"one")


if __name__ == "__main__":
    run_checks()
