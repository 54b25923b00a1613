"""The seam between a session and what decides in it: the Mind protocol and its vocabulary.

A session keeps the protocol's rules; its mind hears turns and answers response requests with
parts. Minds: `script.Script` (exact tests) and `planner_mind.PlannerMind` (local voice model).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from testbed.realtime.items import Item


@dataclass(frozen=True, slots=True)
class Say:
    """Speak `text`. The audio is `audio` (mu-law 8 kHz) or `audio_ms` of `tones.tone(text, ...)`.

    With neither, the tone lasts 60 ms a character. Without `as_audio` the part is sent as text,
    whatever the session asked for (a known trap of the real API).
    """

    text: str
    audio_ms: int | None = None
    audio: bytes | None = None
    as_audio: bool = True


@dataclass(frozen=True, slots=True)
class CallTool:
    """A function call; `arguments` as an object, or as the raw string (may be invalid JSON)."""

    name: str
    arguments: Mapping[str, Any] | str
    tool_call_id: str | None = None


@dataclass(frozen=True, slots=True)
class Fail:
    """End the response with status failed. No `error` event follows, as in the real API."""

    message: str = "The server had an error while processing your request."
    code: str | None = None
    kind: str = "server_error"


@dataclass(frozen=True, slots=True)
class Incomplete:
    """End the response, and the part before, with status incomplete."""

    reason: Literal["max_output_tokens", "content_filter"] = "max_output_tokens"


@dataclass(frozen=True, slots=True)
class Pause:
    """Think for so many ms of real time before the next part."""

    ms: int


@dataclass(frozen=True, slots=True)
class Emit:
    """Send a raw server event; `event_id` is added if absent."""

    event: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Drop:
    """Close the socket with this code; code None = cut the connection without a close frame."""

    code: int | None = 1011
    reason: str = ""


Part = Say | CallTool | Fail | Incomplete | Pause | Emit | Drop


@dataclass(frozen=True, slots=True)
class Request:
    """One response to be made."""

    response_id: str
    cause: Literal["client", "turn", "idle"]
    """A response.create, a turn that the VAD ended, or the idle time-out."""
    config: Mapping[str, Any]
    """Effective: the session's configuration with the overrides of response.create."""
    instructions: str | None
    """Those of the response.create itself, if it had any."""
    items: tuple[Item, ...]
    """The context, oldest first."""
    heard: Callable[[str], Awaitable[str]]
    """The words of a spoken user item, by its id; "" when nothing was understood."""


class Controls(Protocol):
    """What a mind may do to its session outside of a response."""

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send a raw server event."""
        ...

    def drop(self, code: int | None, reason: str = "") -> None:
        """Close the socket (None: cut it)."""
        ...


class Mind(Protocol):
    """Decides what one session hears and says."""

    def attach(self, controls: Controls) -> None:
        """The session opened; called once, after session.created."""
        ...

    def observe(self, event: Mapping[str, Any]) -> None:
        """A well-formed client event arrived; called before it takes effect."""
        ...

    async def hear(self, item: Item) -> str:
        """The words of a committed user item (`item.audio`, mu-law); "" if none."""
        ...

    async def reply(self, request: Request) -> Sequence[Part]:
        """The content of the next response."""
        ...

    def response_done(self, response: Mapping[str, Any]) -> None:
        """A response ended; `response` as in response.done."""
        ...

    def detach(self) -> None:
        """The socket closed; a response that still ran was given up without response_done."""
        ...
