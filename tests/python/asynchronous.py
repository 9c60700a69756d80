"""The asynchronous client, many calls at once."""

import asyncio

from support import URL, raises, run_checks, same
from nexus_client import AsyncRemoteNexusFS, ConflictError, NexusFileNotFoundError, RemoteFilesystemError


async def files_are_written_and_read(nx, folder):
    content = bytes(range(256))
    written = await nx.write(f"{folder}/a", content)
    same(await nx.read(f"{folder}/a"), content)
    read = await nx.read(f"{folder}/a", return_metadata=True)
    same((read["content"], read["etag"]), (content, written["etag"]))
    same((await nx.append(f"{folder}/a", "more"))["size"], 260)
    same((await nx.write_stream(f"{folder}/b", iter([b"one", b"two"])))["size"], 6)
    same(await nx.read_range(f"{folder}/b", 1, 4), b"net")
    same(b"".join([chunk async for chunk in nx.stream(f"{folder}/b", chunk_size=4)]), b"onetwo")
    same(len(await nx.write_batch([(f"{folder}/c", b""), (f"{folder}/d", b"")])), 2)
    same(await nx.read_bulk([f"{folder}/b", f"{folder}/x"]), {f"{folder}/b": b"onetwo", f"{folder}/x": None})
    same((await nx.stat(f"{folder}/b"))["size"], 6)
    same((await nx.get_metadata(f"{folder}/b"))["size"], 6)


async def the_tree_is_changed_and_searched(nx, folder):
    await nx.mkdir(f"{folder}/src/deep", parents=True)
    assert await nx.is_directory(f"{folder}/src")
    await nx.write(f"{folder}/src/a.py", b"import os\n")
    same(await nx.list(folder), [f"{folder}/src/a.py"])
    same(await nx.glob("**/*.py", folder), [f"{folder}/src/a.py"])
    same([match["line"] for match in await nx.grep("import", folder)], [1])
    await nx.rename(f"{folder}/src/a.py", f"{folder}/b.py")
    assert await nx.exists(f"{folder}/b.py")
    renamed = await nx.rename_bulk([(f"{folder}/b.py", f"{folder}/c.py")])
    same(renamed[f"{folder}/b.py"]["success"], True)
    await nx.delete(f"{folder}/c.py")
    await nx.rmdir(f"{folder}/src", recursive=True)
    same(await nx.delete_bulk([folder]), {folder: {"success": True}})


async def versions_are_kept(nx, folder):
    for content in [b"one\n", b"two\n"]:
        await nx.write(f"{folder}/a", content)
    same([version["version"] for version in await nx.list_versions(f"{folder}/a")], [2, 1])
    assert "-one\n+two\n" in await nx.diff_versions(f"{folder}/a", 1, 2, mode="content")
    await nx.rollback(f"{folder}/a", 1)
    same(await nx.read(f"{folder}/a"), b"one\n")
    same(await nx.get_version(f"{folder}/a", 2), b"two\n")


async def many_calls_at_once_are_each_answered(nx, folder):
    contents = {f"{folder}/{number}": b"%d" % number * number for number in range(100)}
    await asyncio.gather(*[nx.write(path, content) for path, content in contents.items()])
    read = await asyncio.gather(*[nx.read(path) for path in contents])
    same(read, list(contents.values()))


async def of_many_writers_one_wins(nx, folder):
    first = await nx.write(f"{folder}/a", b"first")
    writes = [nx.write(f"{folder}/a", b"%d" % number, if_match=first["etag"]) for number in range(10)]
    outcomes = await asyncio.gather(*writes, return_exceptions=True)
    winners = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, dict)]
    losers = [outcome for outcome in outcomes if isinstance(outcome, ConflictError)]
    same((len(winners), len(losers)), (1, 9))
    same(await nx.read(f"{folder}/a"), b"%d" % winners[0])


async def a_delete_may_ask_that_the_file_is_as_it_was(nx, folder):
    first = await nx.write(f"{folder}/a", b"one")
    second = await nx.write(f"{folder}/a", b"two")
    with raises(ConflictError):
        await nx.delete(f"{folder}/a", if_match=first["etag"])
    await nx.delete(f"{folder}/a", if_match=second["etag"])
    assert not await nx.exists(f"{folder}/a")


async def errors_are_those_of_the_client(nx, folder):
    with raises(NexusFileNotFoundError, f"{folder}/missing"):
        await nx.read(f"{folder}/missing")
    await nx.write(f"{folder}/a", b"")
    with raises(FileExistsError):
        await nx.mkdir(folder)
    async with AsyncRemoteNexusFS(URL, api_key="sk-wrong") as stranger:
        with raises(RemoteFilesystemError, "401"):
            await stranger.read(f"{folder}/a")


if __name__ == "__main__":
    run_checks()
