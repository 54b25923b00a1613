"""PURE: how a draining worker gives one call away: a successor is prepared, offered the call at a
quiet moment, and given up when it does not take it.

Fed by drain. While a call is offered its holder is silent, so that two are never heard; it speaks
again when nobody took the call.
"""

from typing import Literal

from msgspec import Struct

from protocol.ids import Leg, WorkerId

PREPARED_FOR_MS = 40_000
"""A successor waits 60 s for the call: offer it no later than this after it was ready."""
TAKEN_WITHIN_MS = 1000
PASSED_OVER_MS = 3000
"""How long a worker that could not prepare, or did not take the call, is not asked again."""


class Ask(Struct, frozen=True):
    """Have ``worker`` prepare for the call, whose line is ``leg``; tell ``answered``."""

    worker: WorkerId
    leg: Leg


class Offer(Struct, frozen=True):
    """Fall silent, then write ``handing_over`` to ``worker``; tell ``written``."""

    worker: WorkerId


class GoOn(Struct, frozen=True):
    """Nobody took the call: speak again."""


Effect = Ask | Offer | GoOn


class Handover:
    """One call on its way out. Times are ms of one monotonic clock."""

    def __init__(self) -> None:
        self._stage: Literal["seeking", "asking", "ready", "offering", "offered"] = "seeking"
        self._worker = WorkerId("")
        self._leg = Leg(0)
        self._since_ms = 0
        self._passed_over: dict[WorkerId, int] = {}

    @property
    def silent(self) -> bool:
        """The call is offered: nothing may be said to the caller."""
        return self._stage in ("offering", "offered")

    def passed_over(self, now_ms: int) -> set[WorkerId]:
        """Workers that are not to be asked now."""
        return {worker for worker, until in self._passed_over.items() if now_ms < until}

    def on_tick(
        self, now_ms: int, *, quiet: bool, leg: Leg, freest: WorkerId | None
    ) -> list[Effect]:
        """``quiet``: the caller would not notice a switch now; ``leg``: the call's line now;
        ``freest``: the worker to ask next, if any has room and is not passed over.
        """
        waited_ms = now_ms - self._since_ms
        match self._stage:
            case "seeking" if freest is not None:
                self._enter("asking", now_ms)
                self._worker, self._leg = freest, leg
                return [Ask(freest, leg)]
            case "ready" if leg != self._leg or waited_ms >= PREPARED_FOR_MS:
                # It hears a line that is no more, or will soon let go of the call.
                self._enter("seeking", now_ms)
            case "ready" if quiet:
                self._enter("offering", now_ms)
                return [Offer(self._worker)]
            case "offering" | "offered" if waited_ms >= TAKEN_WITHIN_MS:
                self._pass_over(now_ms)
                return [GoOn()]
            case _:
                pass
        return []

    def answered(self, worker: WorkerId, now_ms: int, *, ready: bool) -> None:
        """A worker that was asked is ready, or cannot take the call."""
        if self._stage != "asking" or worker != self._worker:
            return
        if ready:
            self._enter("ready", now_ms)
        else:
            self._pass_over(now_ms)

    def written(self, worker: WorkerId, now_ms: int) -> None:
        """The log has the offer to ``worker``: from now on it may take the call."""
        if self._stage == "offering" and worker == self._worker:
            self._enter("offered", now_ms)

    def _pass_over(self, now_ms: int) -> None:
        self._passed_over[self._worker] = now_ms + PASSED_OVER_MS
        self._enter("seeking", now_ms)

    def _enter(
        self,
        stage: Literal["seeking", "asking", "ready", "offering", "offered"],
        now_ms: int,
    ) -> None:
        self._stage, self._since_ms = stage, now_ms
