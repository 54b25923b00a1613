"""Which tools the services on the bus offer, as the NATS service API tells it. Workers and the desk
ask the same question here, so they agree on what there is.
"""

from collections.abc import Iterable

import msgspec
from msgspec import Struct

from protocol import subjects, tools
from protocol.events import OfferedTool
from runtime.bus import Bus

REPLIES_S = 0.3
"""How long answers are waited for; nobody knows how many there will be."""
INFO = "$SRV.INFO"
STATS = "$SRV.STATS"
# Whoever serves a tool writes this: deep nesting exhausts the decoder's recursion.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


class _Endpoint(Struct):
    name: str = ""
    subject: str = ""
    metadata: dict[str, str] | None = None
    num_requests: int = 0
    num_errors: int = 0


class _Service(Struct):
    name: str = ""
    id: str = ""
    version: str = ""
    endpoints: tuple[_Endpoint, ...] = ()


class Served(Struct, frozen=True):
    """One tool as one process serves it; ``instance`` is that process's id."""

    tool: OfferedTool
    service: str
    instance: str
    version: str


class Counted(Struct, frozen=True):
    """What a process says of one of its tools since it started. ``errors``: requests that its
    library saw fail; services that answer in tasks of their own, as ours do, count none.
    """

    requests: int
    errors: int


class Answers(Struct, frozen=True):
    """What came back: ``served`` by everybody; ``anybody`` is False when nobody answered."""

    served: tuple[Served, ...]
    anybody: bool


async def discover(bus: Bus) -> Answers:
    """Ask every service what it offers. Raises NatsAway."""
    replies = await bus.request_many(INFO, b"", within=REPLIES_S)
    served = tuple(one for data, _ in replies for one in served_by(data))
    return Answers(served, bool(replies))


async def counts(bus: Bus) -> dict[tuple[str, str], Counted]:
    """By instance and tool, what every service counted. Raises NatsAway."""
    replies = await bus.request_many(STATS, b"", within=REPLIES_S)
    found: dict[tuple[str, str], Counted] = {}
    for data, _ in replies:
        service = _service(data)
        for endpoint in service.endpoints if service else ():
            prefix, _, name = endpoint.subject.partition(".")
            if prefix == subjects.TOOLS and service:
                counted = Counted(endpoint.num_requests, endpoint.num_errors)
                found[service.id, name] = counted
    return found


def served_by(data: bytes) -> tuple[Served, ...]:
    """The tools in one service's answer; an unreadable one has none."""
    service = _service(data)
    if service is None:
        return ()
    offered = (_tool(endpoint) for endpoint in service.endpoints)
    return tuple(
        Served(tool, service.name, service.id, service.version) for tool in offered if tool
    )


def agreed(served: Iterable[Served]) -> tuple[dict[str, OfferedTool], set[str]]:
    """The tools that may be used, by name, and the names that are refused because two services
    serve them.
    """
    found: dict[str, OfferedTool] = {}
    owner: dict[str, str] = {}
    refused: set[str] = set()
    for one in served:
        if owner.setdefault(one.tool.name, one.service) != one.service:
            refused.add(one.tool.name)
        found[one.tool.name] = one.tool
    return {name: tool for name, tool in found.items() if name not in refused}, refused


def _service(data: bytes) -> _Service | None:
    try:
        return msgspec.json.decode(data, type=_Service)
    except UNREADABLE:
        return None


def _tool(endpoint: _Endpoint) -> OfferedTool | None:
    prefix, _, name = endpoint.subject.partition(".")
    metadata = endpoint.metadata or {}
    schema = metadata.get(tools.META_SCHEMA)
    if prefix != subjects.TOOLS or schema is None:
        return None
    try:
        if not isinstance(msgspec.json.decode(schema), dict):
            return None
    except UNREADABLE:
        return None
    return OfferedTool(name, metadata.get(tools.META_DESCRIPTION, ""), schema)
