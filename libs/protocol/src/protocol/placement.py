"""Messages by which ingress places a call on an agent worker, and the replay of ringed caller
audio.
"""

from typing import Literal

from msgspec import Struct

from protocol.ids import CallId, Epoch, IngressId, Leg, WorkerId
from protocol.line import Playhead

DeclineReason = Literal["full", "draining", "taken"]


class AgentLoad(Struct, frozen=True):
    """What a worker says of itself every 250 ms on ``agents.load``."""

    worker: WorkerId
    free: int
    draining: bool
    build: str


class AssignCall(Struct, frozen=True):
    """Request on ``agent.<worker>.assign``: hold this call, whose line is ``leg`` at ``ingress``.

    ``previous_epoch`` is the assignment to follow (0: none yet), ``items`` the playback ledger as
    it stands, ``ring_from_ms`` where the ringed caller audio begins.
    """

    call: CallId
    leg: Leg
    ingress: IngressId
    previous_epoch: Epoch
    ring_from_ms: int
    items: tuple[Playhead, ...] = ()


class Accepted(Struct, frozen=True, tag="accepted"):
    """The worker holds the call under this epoch and hears its line."""

    epoch: Epoch


class Declined(Struct, frozen=True, tag="declined"):
    """The worker does not take the call. ``taken``: another one holds it, or the line moved on."""

    reason: DeclineReason


AssignReply = Accepted | Declined


class ReplayRequest(Struct, frozen=True):
    """Request on ``ingress.<ingress>.replay``: ringed caller audio and keys of [from_ms, to_ms),
    line time.
    """

    call: CallId
    leg: Leg
    from_ms: int
    to_ms: int


class RingedKey(Struct, frozen=True):
    digit: str
    line_ms: int


class RingedAudio(Struct, frozen=True):
    """mu-law bytes whose first byte was said at ``line_ms``."""

    line_ms: int
    audio: bytes


class Replay(Struct, frozen=True):
    """What the ring still held of the span asked for, oldest first; a gap is a jump of line_ms."""

    audio: tuple[RingedAudio, ...]
    keys: tuple[RingedKey, ...]


class IngressAlive(Struct, frozen=True):
    """Heartbeat of an ingress with the legs it holds."""

    ingress: IngressId
    legs: tuple[Leg, ...]
