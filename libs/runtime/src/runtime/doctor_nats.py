"""The doctor's look at NATS: reached, let in, new enough, JetStream on, the streams there.

A part of doctor, with a connection of its own that is tried once: ``bus.connect`` waits instead.
"""

import asyncio
import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence

import nats.errors
from nats.aio.client import Client
from nats.js.errors import APIError, NotFoundError, ServiceUnavailableError

from runtime import nats_servers
from runtime.bus import Bus
from runtime.doctor import Check, Finding, note, ok, wrong
from runtime.nats_login import login
from runtime.paced_client import PacedClient
from runtime.settings import CommonSettings

CONNECT_S = 3.0
TRIES = 3
ANSWER_S = 1.5
CLOSE_S = 1.0
OLDEST = (2, 11)
"""The first server with Nats-Expected-Last-Subject-Sequence-Subject, which fences the log, and with
direct gets in batches, which read it.
"""
Also = Callable[[Bus], Awaitable[Sequence[Finding]]]


def check(
    settings: CommonSettings, role: str, streams: Mapping[str, str], also: Also | None = None
) -> Check:
    """A check of NATS as the user of ``role`` sees it. ``streams``: name -> who makes it when it
    starts; "": made when it is first needed.

    ``also`` looks at something else over the same connection.
    """

    async def look() -> list[Finding]:
        where = nats_servers.shown(nats_servers.listed(settings.nats_url))
        refusals: list[Exception] = []
        client: PacedClient | None = None
        for _ in range(TRIES):
            client = await _let_in(settings, role, refusals)
            # A server that refuses says why and closes; its word may be lost on the way.
            if client or any(not isinstance(each, ConnectionResetError) for each in refusals):
                break
        if client is None:
            return [_not_connected(where, refusals)]
        try:
            findings = [ok("nats", f"NATS at {where} lets {role} in."), _version(client)]
            bus = Bus(client, f"{role}/doctor")
            findings += await _streams(bus, streams, refusals)
            if also is not None:
                findings += await also(bus)
            return findings
        finally:
            await _closed(client)

    return Check("nats", look)


async def _let_in(
    settings: CommonSettings, role: str, refusals: list[Exception]
) -> PacedClient | None:
    """A connection, or None; ``refusals`` then says why, and later what the server denies."""

    async def failed(error: Exception) -> None:
        refusals.append(error)

    refusals.clear()
    client = PacedClient()
    try:
        # The first connect of nats-py goes on trying, whatever it is told.
        async with asyncio.timeout(CONNECT_S):
            await client.connect(
                nats_servers.listed(settings.nats_url),
                name=f"{role}/doctor",
                allow_reconnect=False,
                error_cb=failed,
                **login(settings, role),
            )
    except (OSError, TimeoutError, nats.errors.Error, ValueError) as error:
        await _closed(client)
        refusals.append(error)
        return None
    return client


async def _closed(client: Client) -> None:
    with contextlib.suppress(nats.errors.Error, OSError, TimeoutError):
        async with asyncio.timeout(CLOSE_S):
            await client.close()


def _not_connected(where: str, why: Sequence[Exception]) -> Finding:
    said, error = " ".join(map(str, why)).lower(), why[-1]
    if "authorization" in said or "authentication" in said:
        return wrong(
            "nats",
            f"NATS at {where} refuses the user or its password.",
            "Correct the user and password in NATS_URL, or NATS_CREDS or NATS_NKEY.",
        )
    if "ssl" in said or "tls" in said or "certificate" in said or "secure" in said:
        return wrong(
            "nats",
            f"NATS at {where} and we cannot agree on TLS ({type(error).__name__}).",
            "Write tls:// in NATS_URL where the server has TLS, and give its CA as NATS_CA.",
        )
    return wrong(
        "nats",
        f"NATS at {where} does not answer ({type(error).__name__}).",
        "Start it (make up, docker compose up -d), or correct NATS_URL.",
    )


def _version(client: Client) -> Finding:
    found = re.search(r"\d+(\.\d+)+", str(client.connected_server_version))
    said = found.group() if found else "0"
    numbers = tuple(int(part) for part in said.split(".")[:2])
    if numbers < OLDEST:
        return wrong(
            "nats version",
            f"The server is nats-server {said}, which cannot keep a stale worker out of the log.",
            f"Run nats-server {OLDEST[0]}.{OLDEST[1]} or newer (2.15 is tested).",
        )
    return ok("nats version", f"The server is nats-server {said}: it can fence the log.")


async def _streams(
    bus: Bus, streams: Mapping[str, str], refusals: Sequence[Exception]
) -> Sequence[Finding]:
    findings: list[Finding] = []
    for name, maker in streams.items():
        try:
            async with asyncio.timeout(ANSWER_S):
                info = await bus.jetstream.stream_info(name)
        except NotFoundError:
            findings.append(_missing(name, maker))
        except (ServiceUnavailableError, nats.errors.NoRespondersError):
            remedy = "Start nats-server with JetStream: `jetstream {}` in its file, or -js."
            findings.append(wrong("jetstream", "JetStream is off on this server.", remedy))
            break
        except (TimeoutError, nats.errors.Error, APIError) as error:
            if any("permissions" in str(refusal).lower() for refusal in refusals):
                remedy = "Give it the permissions of deploy/nats/permissions.conf."
                says = f"This NATS user may not look at the stream {name}."
            else:
                remedy = "Look at the server's log: a cluster may have no leader for it."
                says = f"JetStream does not answer for the stream {name} ({type(error).__name__})."
            findings.append(wrong("jetstream", says, remedy))
        else:
            count = info.state.messages
            findings.append(ok("jetstream", f"The stream {name} is there ({count} messages)."))
    return findings


def _missing(name: str, maker: str) -> Finding:
    if not maker:
        says = f"The stream {name} is not there yet: it is made when it is first needed."
        return note("jetstream", says)
    says = f"The stream {name} is not there."
    return wrong("jetstream", says, f"Start {maker}, which makes it.")
