"""What the node does not do yet, it says so, to every method of the client."""

import inspect

from support import client, get, raises, run_checks, same
from nexus_client import AsyncRemoteNexusFS, NexusError, RemoteNexusFS

METHODS = get("/api/nfs/status", key=None).json()["methods"]
blocking = client()


def the_methods_are_listed():
    same(METHODS, sorted(set(METHODS)))
    assert {"read", "write", "list", "grep", "rollback", "admin_create_key"} <= set(METHODS)


def a_method_that_is_missing_says_so():
    for call in [
        lambda: blocking.rebac_check(("user", "alice"), "read", ("file", "/a")),
        lambda: blocking.rebac_create(("user", "alice"), "owner", ("file", "/a")),
        lambda: blocking.list_mounts(),
        lambda: blocking.list_agents(),
        lambda: blocking.sandbox_list(),
        lambda: blocking.skills_list(),
        lambda: blocking.mcp_list_mounts(),
        lambda: blocking.oauth_list_providers(),
        lambda: blocking.memory.list(),
    ]:
        with raises(NexusError, "-32601", "there is no method"):
            call()


def every_file_method_of_the_clients_is_there():
    """Whatever is in both clients, and about files, the node lists."""
    shared = {
        name
        for name, _ in inspect.getmembers(RemoteNexusFS, inspect.isfunction)
        if not name.startswith("_") and hasattr(AsyncRemoteNexusFS, name)
    }
    others = ("mount", "sync", "memor", "agent", "share", "sandbox", "oauth", "mcp", "connectors", "close")
    about_files = {name for name in shared if not any(word in name for word in others)}
    # A stream is read as ranges.
    same({name for name in about_files if name not in METHODS}, {"stream"})


async def the_asynchronous_client_is_told_the_same(nx):
    with raises(NexusError, "-32601", "there is no method"):
        await nx.list_mounts()


if __name__ == "__main__":
    run_checks()
