"""JetStream streams as plain data; runtime.provision applies them."""

from msgspec import Struct

from protocol import subjects

DAY_S = 86_400


class Republish(Struct, frozen=True):
    source: str
    destination: str


class StreamDefinition(Struct, frozen=True):
    """One stream. Ages and windows in seconds, sizes in bytes."""

    name: str
    subjects: tuple[str, ...]
    description: str
    max_age_s: int
    max_bytes: int
    duplicate_window_s: int
    republish: Republish | None = None


CALLS = StreamDefinition(
    name="CALLS",
    subjects=(subjects.ALL_LOGS,),
    description="The log of every call; one event a message",
    max_age_s=30 * DAY_S,
    max_bytes=1024**3,
    duplicate_window_s=15 * 60,
    republish=Republish("call.*.log.*", "call.{{wildcard(1)}}.event.{{wildcard(2)}}"),
)
"""A subscriber of a stream's subject also sees publishes that the stream refused; the republished
one does not.
"""

RECORDINGS = StreamDefinition(
    name="RECORDINGS",
    subjects=(subjects.ALL_RECORDINGS,),
    description="What was said and heard in recorded calls, by track",
    max_age_s=30 * DAY_S,
    max_bytes=1024**3,
    duplicate_window_s=60,
    republish=Republish("call.*.recording.*", "call.{{wildcard(1)}}.ear.{{wildcard(2)}}"),
)

STREAMS = (CALLS, RECORDINGS)

HISTORY = "history"
"""The durable consumer of CALLS that all dashboards share; no outside reader may touch it."""

MSG_ID = "Nats-Msg-Id"
EXPECTED_LAST_SUBJECT_SEQUENCE = "Nats-Expected-Last-Subject-Sequence"
EXPECTED_LAST_SUBJECT = "Nats-Expected-Last-Subject-Sequence-Subject"
REPUBLISHED_SEQUENCE = "Nats-Sequence"
WRONG_LAST_SEQUENCE = 10071
"""JetStream error: the expectation of a publish did not hold (a lost race or a stale writer)."""
BUSY_LAST_SEQUENCE = 10164
"""JetStream error on replicated streams: another expecting publish is in flight; try again."""
