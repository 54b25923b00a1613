"""What each NATS user may publish and subscribe: derived from the table of channels, plus what
JetStream and the service API need underneath (pure).

A user sees only its own inbox, ``_INBOX.<role>.>``; whoever answers requests may publish to the
reply subject of what it was asked (``allow_responses``), and to no other.
"""

from msgspec import Struct

from protocol.buckets import SPEECH
from protocol.channel import AGENT, DESK, LISTENER, RUNNER, TOOLS, WEBHOOKS, Role
from protocol.channels import channels
from protocol.streams import CALLS, HISTORY, RECORDINGS

API = "$JS.API."
DISCOVER = "$SRV.INFO"
COUNTS = "$SRV.STATS"
READERS: frozenset[Role] = frozenset({WEBHOOKS, "stream-ingress", AGENT, RUNNER, DESK, LISTENER})
"""Who reads the log, not only its live events."""
CONSUMERS: frozenset[Role] = frozenset({DESK, LISTENER})
"""Who reads it through consumers of the stream."""
EVENTS = "call.*.event.>"
"""Nobody publishes here: the stream does."""
OWNS: dict[Role, tuple[str, ...]] = {WEBHOOKS: (CALLS.name, RECORDINGS.name, "KV_OUTBOUND")}
"""Who makes and changes which streams; the others wait until they are there."""


class Permissions(Struct, frozen=True):
    """Subjects with wildcards. ``denied`` are exceptions from ``publish``; ``responds``: may answer
    what it was asked.
    """

    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    responds: bool
    denied: tuple[str, ...]


def inbox_prefix(role: str) -> str:
    """Where replies to a user of this role go."""
    return f"_INBOX.{role}"


def permissions(role: Role) -> Permissions:
    """Of one user."""
    table = channels()
    publish = {channel.pattern for channel in table if role in channel.senders}
    subscribe = {channel.pattern for channel in table if role in channel.receivers}
    subscribe = _merged(subscribe) | {f"{inbox_prefix(role)}.>"}
    responds = any(role in c.receivers for c in table if c.kind == "request")
    if role in (WEBHOOKS, RUNNER, TOOLS):
        subscribe |= {"$SRV.>"}
    if role in (AGENT, DESK, LISTENER):
        publish |= {DISCOVER}
    if role == DESK:
        publish |= {COUNTS}
    if role in READERS:
        publish |= {f"{API}STREAM.INFO.{CALLS.name}", f"{API}STREAM.MSG.GET.{CALLS.name}"}
        publish |= {f"{API}DIRECT.GET.{CALLS.name}", f"{API}DIRECT.GET.{CALLS.name}.>"}
    if role in CONSUMERS:
        for verb in ("CREATE", "DURABLE.CREATE", "INFO", "DELETE", "MSG.NEXT"):
            publish |= {f"{API}CONSUMER.{verb}.{CALLS.name}.>"}
        publish |= {f"{API}CONSUMER.CREATE.{CALLS.name}", f"$JS.ACK.{CALLS.name}.>", "$JS.FC.>"}
    for stream in OWNS.get(role, ()):
        publish |= {f"{API}STREAM.{verb}.{stream}" for verb in ("INFO", "CREATE", "UPDATE")}
    if role == WEBHOOKS:
        publish |= {"$KV.OUTBOUND.>", f"{API}STREAM.MSG.GET.KV_OUTBOUND"}
    if role == DESK:  # forgetting a caller: everything of theirs goes, wherever it is
        publish |= {f"{API}STREAM.LIST", f"{API}STREAM.PURGE.{CALLS.name}", f"{API}STREAM.NAMES"}
        publish |= {f"{API}STREAM.{verb}.{RECORDINGS.name}" for verb in ("INFO", "PURGE")}
        publish |= {f"{API}DIRECT.GET.{RECORDINGS.name}", f"{API}DIRECT.GET.{RECORDINGS.name}.>"}
        for verb in ("STREAM.INFO", "STREAM.PURGE", "DIRECT.GET"):
            publish |= {f"{API}{verb}.KV_OUTBOUND"}
    if role == AGENT:
        bucket = f"OBJ_{SPEECH.name}"
        publish |= {f"{API}STREAM.{verb}.{bucket}" for verb in ("INFO", "CREATE", "UPDATE")}
        publish |= {f"{API}STREAM.PURGE.{bucket}", f"{API}STREAM.MSG.GET.{bucket}"}
        publish |= {f"{API}DIRECT.GET.{bucket}", f"{API}DIRECT.GET.{bucket}.>"}
        publish |= {f"$O.{SPEECH.name}.>"}
    denied = [EVENTS] if role != LISTENER else [EVENTS, *_of_consumer(HISTORY)]
    return Permissions(tuple(sorted(publish)), tuple(sorted(subscribe)), responds, tuple(denied))


def _of_consumer(name: str) -> list[str]:
    """All with which a consumer of the log is changed, read from, acknowledged or deleted."""
    api = [f"{API}CONSUMER.{verb}.{CALLS.name}.{name}" for verb in ("DELETE", "MSG.NEXT")]
    api += [f"{API}CONSUMER.DURABLE.CREATE.{CALLS.name}.{name}"]
    made = f"{API}CONSUMER.CREATE.{CALLS.name}.{name}"
    return [*api, made, f"{made}.>", f"$JS.ACK.{CALLS.name}.{name}.>"]


def _merged(patterns: set[str]) -> set[str]:
    """One wildcard where a role hears all of an area: services subscribe so, and the server wants
    the whole of a subscription allowed.
    """
    merged = set(patterns)
    for area, wildcard in _AREAS.items():
        whole = {channel.pattern for channel in channels() if channel.name.startswith(area)}
        if whole <= patterns:
            merged = (merged - whole) | {wildcard}
    return merged


_AREAS = {"event.": "call.*.event.>", "in.": "call.*.in.*.*", "out.": "call.*.out.*.*"}
