"""A NATS server that gives each service only what the table of channels says, over TLS: the whole
system works on it, and everybody is refused what is not theirs.
"""

import asyncio
import datetime
import json
import secrets
import ssl
import sys
from pathlib import Path

import nats
import pytest
import trustme

from testbed.ports import LOOPBACK, free_port
from testbed.process import Process
from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

REPOSITORY = Path(__file__).parents[2]
ROLES = (
    "webhooks",
    "stream-ingress",
    "ai-agent",
    "tool-runner",
    "dashboard",
    "tools",
    "subscriber",
)
CALL = "CA" + "5" * 32
HELLO = Say("Hello.", audio_ms=400)
DONE = Say("It is done.", audio_ms=600)


class LockedNats:
    """A server with one user a role and one, ``admin``, who may do everything."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.authority = folder / "ca.pem"
        self._passwords = {role: secrets.token_hex(8) for role in (*ROLES, "admin")}
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", LOOPBACK)
        certificate, key = folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(self.authority)
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        users = "\n".join(
            f'{{ user: "{role}", password: "{password}"'
            + ("" if role == "admin" else f", permissions: ${role.replace('-', '_').upper()}")
            + " }"
            for role, password in self._passwords.items()
        )
        included = REPOSITORY / "deploy/nats/permissions.conf"
        # The server includes only what lies beside its own file.
        (folder / "permissions.conf").write_text(included.read_text("utf-8"), "utf-8")
        file = folder / "nats.conf"
        file.write_text(
            f"""\
listen: "{LOOPBACK}:{self.port}"
allow_non_tls: true
include "permissions.conf"
authorization {{ users: [
{users}
] }}
tls {{ cert_file: {json.dumps(str(certificate))}, key_file: {json.dumps(str(key))} }}
jetstream {{ store_dir: {json.dumps(str(folder / "store"))} }}
""",
            "utf-8",
        )
        binary = Path(sys.executable).parent / "nats-server"
        self.process = Process("nats-server", [binary, "-c", file])

    def url(self, role: str, scheme: str = "tls") -> str:
        return f"{scheme}://{role}:{self._passwords[role]}@localhost:{self.port}"

    async def connect(self, role: str, refused: list[str] | None = None):
        """A client of this role; permission errors of the server are put into ``refused``."""

        async def failed(error: Exception) -> None:
            if refused is not None:
                refused.append(str(error))

        return await nats.connect(
            self.url(role),
            tls=ssl.create_default_context(cafile=self.authority),
            inbox_prefix=f"_INBOX.{role}",
            error_cb=failed,
            allow_reconnect=False,
        )


@pytest.fixture(scope="module")
async def locked(tmp_path_factory):
    server = LockedNats(tmp_path_factory.mktemp("locked"))
    await server.process.start()
    await server.process.saw("Server is ready", 20)
    yield server
    await server.process.stop(10)


async def test_a_whole_call_on_a_server_that_allows_only_what_is_needed(locked, new_system) -> None:
    services = ("webhooks", "stream-ingress", "ai-agent", "tool-runner", "dashboard")
    environment = {
        name.replace("-", "_"): {"NATS_URL": locked.url(name), "NATS_CA": str(locked.authority)}
        for name in services
    }
    async with new_system(nats_url=locked.url("admin", "nats"), **environment) as world:
        world.begin()
        script = world.script(
            OnResponse(HELLO),
            OnSpeech(
                "add milk", CallTool("create_task", {"description": "milk", "date": _day()}, "t1")
            ),
            expect_output("t1", lambda output: output["status"] == "created"),
            OnResponse(DONE),
        )
        call = await world.dial("+15550171717")
        await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
        assert await call.say(tone("add milk", 900))
        await call.wait_until(
            lambda c: tone(DONE.text, DONE.audio_ms) in c.ear.audio(), world.patience_s
        )
        events = await world.hung_up(call)
        assert not script.failure
        assert {"assigned", "tool_returned", "call_ended"} <= {e["event"] for e in events}
        assert await world.rows("select 1 from todos where description = 'milk'")
        refusals = [line for _, line in world.stack.lines if "ermissions violation" in line.lower()]
        assert refusals == []
        await world.settle()


def _day() -> str:
    return (datetime.datetime.now(datetime.UTC).date() + datetime.timedelta(days=2)).isoformat()


FORBIDDEN_TO_PUBLISH = {
    "ai-agent": (f"call.{CALL}.log.call_ended", "todos.delete", f"call.{CALL}.event.said"),
    "stream-ingress": (f"call.{CALL}.log.assigned", "tools.create_task", "calls.hang_up"),
    "tool-runner": (f"call.{CALL}.out.1.audio", "calls.place", f"call.{CALL}.log.said"),
    "webhooks": ("tools.create_task", f"call.{CALL}.out.1.clear", "callers.set_pin"),
    "dashboard": (f"call.{CALL}.log.assigned", f"call.{CALL}.out.1.audio", "callers.verify_pin"),
    "tools": ("tools.create_task", f"call.{CALL}.log.said", "todos.add"),
    "subscriber": (f"call.{CALL}.event.said", f"call.{CALL}.log.said", "calls.hang_up"),
}
FORBIDDEN_TO_HEAR = {
    "ai-agent": ("todos.add", "_INBOX.dashboard.>", "$KV.OUTBOUND.>"),
    "stream-ingress": (f"call.{CALL}.in.1.dtmf", "todo.*.changed", "callers.verify_pin"),
    "tool-runner": (f"call.{CALL}.in.1.audio", f"call.{CALL}.out.1.audio"),
    "webhooks": (f"call.{CALL}.in.1.audio", "callers.verify_pin", "_INBOX.ai-agent.>"),
    "dashboard": (f"call.{CALL}.in.1.dtmf", "callers.verify_pin"),
    "tools": (f"call.{CALL}.in.1.audio", "callers.verify_pin"),
    "subscriber": (f"call.{CALL}.in.1.dtmf", "callers.verify_pin", "_INBOX.>", ">"),
}


@pytest.mark.parametrize("role", ROLES)
async def test_everybody_is_refused_what_is_not_theirs(locked, role) -> None:
    refused: list[str] = []
    client = await locked.connect(role, refused)
    try:
        for subject in FORBIDDEN_TO_PUBLISH[role]:
            await client.publish(subject, b"{}")
        for subject in FORBIDDEN_TO_HEAR[role]:
            await client.subscribe(subject)
        async with asyncio.timeout(20):
            await client.flush()
            wanted = len(FORBIDDEN_TO_PUBLISH[role]) + len(FORBIDDEN_TO_HEAR[role])
            while len(refused) < wanted:
                await asyncio.sleep(0.01)
    finally:
        await client.close()
    for subject in FORBIDDEN_TO_PUBLISH[role]:
        assert any("publish" in r.lower() and subject.lower() in r.lower() for r in refused)
    for subject in FORBIDDEN_TO_HEAR[role]:
        assert any("subscription" in r.lower() and subject.lower() in r.lower() for r in refused)


async def test_a_subscriber_follows_the_events_and_reads_the_log(locked) -> None:
    admin, subscriber = await locked.connect("admin"), await locked.connect("subscriber")
    try:
        with_stream = admin.jetstream()
        try:
            await with_stream.stream_info("CALLS")
        except nats.js.errors.NotFoundError:
            await with_stream.add_stream(name="CALLS", subjects=["call.*.log.*"])
        live = await subscriber.subscribe("call.*.event.>")
        await subscriber.flush()
        await subscriber.flush()
        await admin.publish(f"call.{CALL}.event.ringing", b"{}")
        assert (await live.next_msg(timeout=20)).data == b"{}"
        await with_stream.publish(f"call.{CALL}.log.ringing", b'{"kept": true}')
        kept = await subscriber.jetstream().subscribe(
            f"call.{CALL}.log.>", stream="CALLS", ordered_consumer=True
        )
        assert (await kept.next_msg(timeout=20)).data == b'{"kept": true}'
        await kept.unsubscribe()
    finally:
        await subscriber.close()
        await admin.close()
