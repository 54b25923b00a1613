"""Messages of the line between stream-ingress and ai-agent. Nothing here is kept; audio is raw
bytes beside it.

``line_ms`` is one clock for the whole call: Twilio's ``media.timestamp`` plus the legs before (ms).
"""

from typing import Literal

from msgspec import Struct

from protocol.ids import ItemId

Intent = Literal["hangup", "transfer", "handoff", "busy", "failed", "refused"]
"""Why ingress is asked to close a stream; what the Connect action then does: busy says
that nobody is free, failed that something broke, refused that this caller may not be served.
"""


class Clock(Struct, frozen=True):
    """line_ms of the next audio byte: before the first frame, after every gap or drop, else once
    a second.
    """

    line_ms: int


class Dtmf(Struct, frozen=True):
    """A key that the caller pressed. ``digit`` is one of 0-9 * # A-D."""

    digit: str
    line_ms: int


class Playhead(Struct, frozen=True):
    """How far the caller has heard an item. ``done``: all of it that was sent has been heard.

    ``sent_ms``: how much of it is with Twilio and will be heard if nothing clears it; ``complete``:
    no more of it was to come.
    """

    item_id: ItemId
    heard_ms: int
    done: bool
    sent_ms: int = 0
    complete: bool = False


class Heard(Struct, frozen=True):
    """A mark came back: the caller has heard ``heard_ms`` of the item at ``line_ms``."""

    item_id: ItemId
    heard_ms: int
    done: bool
    line_ms: int


class Cleared(Struct, frozen=True):
    """The answer to ``Clear`` n: where every unfinished item stood when playback was emptied."""

    n: int
    line_ms: int
    items: tuple[Playhead, ...] = ()


class Item(Struct, frozen=True):
    """The audio that follows belongs to this item."""

    item_id: ItemId


class ItemDone(Struct, frozen=True):
    """All audio of the item has been sent; ``heard`` with ``done`` follows when the caller has
    heard it.
    """

    item_id: ItemId


class Clear(Struct, frozen=True):
    """Drop what is unplayed; every message of this epoch before it is dead. ``n`` grows with each
    clear.
    """

    n: int


class End(Struct, frozen=True):
    """Close the stream once the queued audio has been heard, with this intent."""

    intent: Intent


class OpenEar(Struct, frozen=True):
    """From ``from_ms`` on the line the call may be listened to (the gate was passed); ``record``:
    and is to be recorded. Told at the start of a conversation and again on every new leg.
    """

    from_ms: int
    record: bool = False


class Listen(Struct, frozen=True):
    """Ask for the ear tracks of a call for the next ``LISTEN_S``; asked again while somebody
    listens.
    """

    by: str


class Listening(Struct, frozen=True, tag="listening"):
    """The tracks flow; ``line_ms`` is where they begin."""

    line_ms: int


class NotNow(Struct, frozen=True, tag="not_now"):
    """Nobody may listen yet: the caller stands at the gate."""


ListenReply = Listening | NotNow
LISTEN_S = 15.0
"""Seconds that one ``Listen`` lasts."""
Track = Literal["caller", "assistant"]
EAR_MS = 200
"""ms of audio in a message of an ear track, silence included; the last may be shorter."""
LINE_MS_HEADER = "Trunkline-Line-Ms"
"""Header of a message of an ear track: where on the line its first byte lies."""


class LiveTranscript(Struct, frozen=True):
    """Partial words for screens: the text of the item so far. Lost ones do no harm."""

    item_id: ItemId
    party: Literal["caller", "assistant"]
    text: str
