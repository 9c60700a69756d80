"""Keys and who they say one is."""

from datetime import datetime, timedelta, timezone

from support import KEY, URL, client, get, raises, run_checks, same
from nexus_client import AsyncRemoteNexusFS, NexusFileNotFoundError, NexusPermissionError, RemoteFilesystemError
from nexus_client.async_client import AsyncAdminAPI


def the_admin_is_known():
    me = get("/api/auth/whoami").json()
    same((me["authenticated"], me["is_admin"], me["zone_id"]), (True, True, me["tenant_id"]))
    nx = client()
    same((nx.tenant_id, nx.agent_id), (me["zone_id"], None))


async def a_new_key_opens_the_node(admin, folder):
    created = await admin.create_key(user_id="alice", name="laptop")
    assert created["api_key"].startswith("sk-")
    same((created["raw_key"], created["key"]), (created["api_key"], created["api_key"]))
    alice = client(created["api_key"])
    same(alice.agent_id, None)
    alice.write(f"{folder}/a", b"hers")
    same(client().list_versions(f"{folder}/a")[0]["created_by"], "user:alice")
    me = get("/api/auth/whoami", created["api_key"]).json()
    same((me["subject_type"], me["subject_id"], me["is_admin"]), ("user", "alice", False))


async def an_agent_acts_as_itself(admin, folder):
    created = await admin.create_key(
        user_id="alice", name="crawler", subject_type="agent", subject_id="crawler-7"
    )
    agent = client(created["api_key"])
    same(agent.agent_id, "crawler-7")
    agent.write(f"{folder}/a", b"its")
    same(agent.list_versions(f"{folder}/a")[0]["created_by"], "agent:crawler-7")
    agent.agent_id = "another"
    with raises(RemoteFilesystemError, "HTTP 403"):
        agent.write(f"{folder}/a", b"not its")


async def keys_are_listed_without_their_secret(admin):
    created = await admin.create_key(user_id="bob", name="first", expires_days=30)
    await admin.create_key(user_id="bob", name="second")
    keys = await admin.list_keys(user_id="bob")
    same(sorted(key["name"] for key in keys), ["first", "second"])
    assert created["api_key"] not in str(keys)
    same(await admin.list_keys(user_id="nobody"), [])
    everyone = await admin.list_keys()
    assert {key["user_id"] for key in everyone} >= {"bob"}
    assert all(key["is_admin"] for key in await admin.list_keys(is_admin=True))


async def keys_are_listed_by_tenant(admin):
    await admin.create_key(user_id="carol", name="here")
    same(len(await admin.list_keys(user_id="carol", tenant_id="default")), 1)
    same(await admin.list_keys(user_id="carol", tenant_id="elsewhere"), [])


async def one_key_is_described(admin):
    created = await admin.create_key(user_id="dave", name="phone", expires_days=30)
    key = await admin.get_key(created["key_id"])
    same((key["key_id"], key["name"], key["user_id"]), (created["key_id"], "phone", "dave"))
    assert abs(key["expires_at"] - datetime.now(timezone.utc) - timedelta(days=30)) < timedelta(hours=1)
    assert created["api_key"] not in str(key)
    with raises(NexusFileNotFoundError):
        await admin.get_key("no-such-key")


async def a_key_is_changed(admin):
    created = await admin.create_key(user_id="erin", name="old")
    updated = await admin.update_key(created["key_id"], name="new", expires_days=1)
    same(updated["name"], "new")
    key = await admin.get_key(created["key_id"])
    same(key["name"], "new")
    assert key["expires_at"] is not None


async def a_revoked_key_ends_at_once(admin, folder):
    created = await admin.create_key(user_id="frank", name="lost")
    frank = client(created["api_key"])
    frank.write(f"{folder}/a", b"")
    same(await admin.revoke_key(created["key_id"]), True)
    try:
        frank.read(f"{folder}/a")
    except RemoteFilesystemError as error:
        same(error.status_code, 401)
    else:
        raise AssertionError("a revoked key still opens the node")
    same(await admin.list_keys(user_id="frank"), [])


async def only_an_admin_makes_keys(admin):
    created = await admin.create_key(user_id="grace", name="laptop")
    async with AsyncRemoteNexusFS(URL, api_key=created["api_key"]) as grace:
        with raises(NexusPermissionError):
            await AsyncAdminAPI(grace).create_key(user_id="grace", name="more", is_admin=True)
        with raises(NexusPermissionError):
            await AsyncAdminAPI(grace).list_keys()


if __name__ == "__main__":
    run_checks()
