"""Messages by which a call finds its worker (placed, attached, prepared, pinged), and the replay of
ringed caller audio.
"""

from typing import Literal

from msgspec import Struct

from protocol.ids import CallId, Epoch, IngressId, Leg, WorkerId
from protocol.line import Intent, Playhead

DeclineReason = Literal["full", "draining", "taken", "not_held", "failed"]


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
    """The worker does not take the call. ``taken``: another one holds it, or the line moved on.
    ``not_held``: asked to go on with a call that this worker does not hold. ``failed``: no session
    could be made ready.
    """

    reason: DeclineReason


AssignReply = Accepted | Declined


class AttachCall(Struct, frozen=True):
    """Request on ``agent.<worker>.attach``: the call that this worker holds under ``epoch`` has a
    new line, ``leg`` at ``ingress``, after ``previous_leg``. Answered like ``AssignCall``.
    """

    call: CallId
    epoch: Epoch
    leg: Leg
    ingress: IngressId
    previous_leg: Leg
    ring_from_ms: int


class PrepareCall(Struct, frozen=True):
    """Request on ``agent.<worker>.prepare``: be ready to take the call that ``worker`` holds under
    ``epoch`` as soon as its ``handing_over`` names you. Answered once a session is open.
    """

    call: CallId
    epoch: Epoch
    worker: WorkerId
    leg: Leg
    ingress: IngressId


class Prepared(Struct, frozen=True, tag="prepared"):
    """The successor is ready: its session is open and it hears the line."""

    call: CallId


PrepareReply = Prepared | Declined


class PingCalls(Struct, frozen=True):
    """Request on ``agent.<worker>.ping``: do you hold these calls under these epochs?"""

    calls: dict[CallId, Epoch]


class PingReply(Struct, frozen=True):
    """``lost``: calls that the worker does not hold under that epoch. ``stuck``: calls it holds
    that have not heard their line for 2 s.
    """

    lost: tuple[CallId, ...] = ()
    stuck: tuple[CallId, ...] = ()


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


class CloseLeg(Struct, frozen=True):
    """Request on ``ingress.<ingress>.close``: close this leg at once with this intent, as if its
    agent had asked for it. How calls are steered that no REST API knows.
    """

    call: CallId
    leg: Leg
    intent: Intent


class LegClosing(Struct, frozen=True, tag="closing"):
    """The leg closes; the log will say so."""

    leg: Leg


class NoSuchLeg(Struct, frozen=True, tag="no_such_leg"):
    """The leg is not open here, or not any more."""

    leg: Leg


CloseReply = LegClosing | NoSuchLeg


class IngressAlive(Struct, frozen=True):
    """Heartbeat of an ingress with the legs it holds; ``calls`` are theirs, in the same order."""

    ingress: IngressId
    legs: tuple[Leg, ...]
    calls: tuple[CallId, ...] = ()
