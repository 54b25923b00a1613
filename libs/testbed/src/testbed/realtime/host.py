"""What a session needs around it: the Host (its connection) and the Habits of its server."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Host(Protocol):
    """The connection that a session lives in."""

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send a server event."""
        ...

    def drop(self, code: int | None, reason: str = "") -> None:
        """Close the socket after the events before it (None: cut it)."""
        ...

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run until done or until the connection ends."""
        ...


@dataclass(slots=True)
class Habits:
    """How the sessions of one server behave; may be changed while they run."""

    pace: float = 10.0
    """ms of audio sent per ms of time; 0 = at once."""
    lifetime_s: float = 3_600.0
    """Of sessions opened from now on; then `session_expired` and close 1001."""
    answer_in_text: bool = False
    """Fault: every response is written text, whatever modality was asked for."""
