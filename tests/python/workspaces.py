"""Workspaces and their snapshots."""

from datetime import timedelta

from support import client, raises, run_checks, same
from nexus_client import NexusFileNotFoundError

nx = client()


def a_workspace_is_registered(folder):
    nx.mkdir(f"{folder}/w", parents=True)
    made = nx.register_workspace(
        f"{folder}/w",
        name="one",
        description="to try",
        metadata={"owner": "ada", "size": 3},
        session_id="run-1",
        ttl=timedelta(hours=1),
    )
    same((made["path"], made["name"], made["session_id"]), (f"{folder}/w", "one", "run-1"))
    same(made["metadata"], {"owner": "ada", "size": "3"})
    same(nx.get_workspace_info(f"{folder}/w"), made)
    assert made in nx.list_workspaces()
    with raises(FileExistsError):
        nx.register_workspace(f"{folder}/w")
    same(nx.unregister_workspace(f"{folder}/w"), True)
    same(nx.unregister_workspace(f"{folder}/w"), False)
    same(nx.get_workspace_info(f"{folder}/w"), None)
    same(nx.exists(f"{folder}/w"), True)


def snapshots_are_made_compared_and_restored(folder):
    path = f"{folder}/w"
    nx.write(f"{path}/same", b"1")
    nx.write(f"{path}/changed", b"22")
    nx.write(f"{path}/gone", b"333")
    first = nx.workspace_snapshot(workspace_path=path, description="first", tags=["a"])
    same((first["snapshot_number"], first["file_count"], first["total_size_bytes"]), (1, 3, 6))
    nx.write(f"{path}/changed", b"4444")
    nx.write(f"{path}/new", b"5")
    nx.delete(f"{path}/gone")
    second = nx.workspace_snapshot(workspace_path=path)
    same([made["snapshot_number"] for made in nx.workspace_log(workspace_path=path)], [2, 1])
    same(nx.workspace_log(workspace_path=path, limit=1), [second])
    diff = nx.workspace_diff(1, 2, workspace_path=path)
    same(diff["added"], [{"path": f"{path}/new", "size": 1}])
    same(diff["removed"], [{"path": f"{path}/gone", "size": 3}])
    same([(it["path"], it["old_size"], it["new_size"]) for it in diff["modified"]], [(f"{path}/changed", 2, 4)])
    same(diff["unchanged"], 1)
    done = nx.workspace_restore(1, workspace_path=path)
    same((done["files_restored"], done["files_deleted"]), (2, 1))
    same(done["snapshot_info"], first)
    same(nx.read(f"{path}/changed"), b"22")
    same(nx.read(f"{path}/gone"), b"333")
    with raises(NexusFileNotFoundError):
        nx.workspace_restore(9, workspace_path=path)
    with raises(NexusFileNotFoundError):
        nx.workspace_diff(1, 9, workspace_path=path)


if __name__ == "__main__":
    run_checks()
