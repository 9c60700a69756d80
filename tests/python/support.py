"""What the scripts share: a client of the node under test, and running the checks of a script."""

import asyncio
import contextlib
import inspect
import logging
import os
import sys
import traceback

import httpx
from nexus_client import AsyncRemoteNexusFS, RemoteNexusFS
from nexus_client.async_client import AsyncAdminAPI

URL = os.environ["NEXUS_URL"]
KEY = os.environ["NEXUS_API_KEY"]

# The client logs every error that a check provokes.
logging.getLogger("nexus_client").setLevel(logging.CRITICAL)


def client(key=KEY):
    return RemoteNexusFS(URL, api_key=key, timeout=30)


def get(path, key=KEY):
    """A plain request, for what the client has no method for."""
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return httpx.get(URL + path, headers=headers)


@contextlib.contextmanager
def raises(kind, *words):
    """The block has to raise exactly this kind of error, with these words in its message."""
    try:
        yield
    except Exception as error:
        assert type(error) is kind, f"{type(error).__name__} instead of {kind.__name__}: {error}"
        for word in words:
            assert word in str(error), f"{word!r} is not in: {error}"
    else:
        raise AssertionError(f"{kind.__name__} was not raised")


def same(found, expected):
    assert found == expected, f"\nfound    {found!r}\nexpected {expected!r}"


def run_checks():
    """Runs the functions of the script in their order and shows all that fail."""
    failed = 0
    for name, check in list(vars(sys.modules["__main__"]).items()):
        if not inspect.isfunction(check) or check.__module__ != "__main__" or name.startswith("_"):
            continue
        print(name, flush=True)
        try:
            asyncio.run(_run(check, folder=f"/{name}"))
        except Exception:
            failed += 1
            traceback.print_exc(file=sys.stdout)
    print(f"{failed} checks failed" if failed else "all checks passed")


async def _run(check, folder):
    """Gives a check what it asks for: a directory of its own, the asynchronous client, or that
    client's interface for administrators."""
    async with AsyncRemoteNexusFS(URL, api_key=KEY) as nx:
        offered = {"folder": folder, "nx": nx, "admin": AsyncAdminAPI(nx)}
        outcome = check(**{name: offered[name] for name in inspect.signature(check).parameters})
        if inspect.isawaitable(outcome):
            await outcome
