"""A call's log in the making, for the tests of decision."""

from datetime import UTC, datetime, timedelta

import pytest

from protocol import events as e
from protocol.ids import CallId, Epoch, EventId, IngressId, ItemId, Leg, StreamId
from protocol.line import Intent
from webhooks.decision import Decision, decide
from webhooks.story import Story, tell

CALL = CallId("CA" + "1" * 32)
T0 = datetime(2026, 11, 22, 12, tzinfo=UTC)


class Log:
    """A call's log in the making: sequences with gaps, as other calls leave them."""

    t0 = T0

    def __init__(self) -> None:
        self.entries: list[tuple[int, e.AnyEvent]] = []

    def _add(self, event: e.AnyEvent) -> int:
        sequence = self.entries[-1][0] + 3 if self.entries else 11
        self.entries.append((sequence, event))
        return sequence

    def _common(self, after_s: float) -> dict[str, object]:
        return {
            "id": EventId(f"e{len(self.entries)}"),
            "call_id": CALL,
            "at": T0 + timedelta(seconds=after_s),
            "service": "test",
            "worker": "w",
        }

    def rang(self, channel: e.Channel = "phone") -> int:
        return self._add(e.Ringing(**self._common(0), caller="a", called="b", channel=channel))

    def redirecting(self, reason: str, after_s: float = 5) -> int:
        return self._add(e.Redirecting(**self._common(after_s), reason=reason))

    def transferred(self) -> int:
        return self._add(e.Transferred(**self._common(6), to="+15550100009"))

    def dial_ended(self, status: str) -> int:
        return self._add(e.DialEnded(**self._common(7), status=status))

    def started(
        self,
        after_s: float = 1,
        line_ms: int = 0,
        previous: int = 0,
        channel: e.Channel = "phone",
    ) -> Leg:
        return Leg(
            self._add(
                e.StreamStarted(
                    **self._common(after_s),
                    stream_id=StreamId("MZ" + "0" * 32),
                    ingress=IngressId("i"),
                    previous_leg=Leg(previous),
                    line_ms=line_ms,
                    channel=channel,
                )
            )
        )

    def closing(self, leg: int, intent: Intent, line_ms: int = 5_000) -> int:
        return self._add(
            e.StreamClosing(**self._common(6), leg=Leg(leg), intent=intent, line_ms=line_ms)
        )

    def stopped(self, leg: int, line_ms: int = 5_100, reason: str = "lost") -> int:
        return self._add(
            e.StreamStopped(**self._common(6), leg=Leg(leg), reason=reason, line_ms=line_ms)
        )

    def resuming(
        self, after_s: float, leg: int = 11, id: str = "", reason: str = "leg lost"
    ) -> int:
        common = self._common(after_s)
        if id:
            common["id"] = EventId(id)
        return self._add(e.Resuming(**common, previous_leg=Leg(leg), reason=reason))

    def heard(self, leg: int) -> int:
        return self._add(
            e.Heard(
                **self._common(3),
                leg=Leg(leg),
                item_id=ItemId("i"),
                heard_ms=1,
                sent_ms=2,
                cut=True,
                line_ms=9,
            )
        )

    def turn(self, to_ms: int) -> int:
        return self._add(
            e.TurnCommitted(
                **self._common(4), epoch=Epoch(1), item_id=ItemId("t"), from_ms=0, to_ms=to_ms
            )
        )

    def ended(self, reason: e.EndReason = "caller_hung_up") -> int:
        return self._add(e.CallEnded(**self._common(7), reason=reason))

    def again(self, index: int) -> int:
        """An event resent under its id after the duplicate window."""
        return self._add(self.entries[index][1])

    @property
    def story(self) -> Story:
        return tell(self.entries)

    def decided(
        self,
        *,
        status: str = "in-progress",
        after_s: float = 10,
        request: str = "this-request",
        human_there: bool = False,
    ) -> Decision:
        """The decision for a request that comes ``after_s`` into the call."""
        return decide(
            self.story,
            call_status=status,
            request=EventId(request),
            now=T0 + timedelta(seconds=after_s),
            human_there=human_there,
        )


@pytest.fixture(scope="session")
def new_log() -> type[Log]:
    """Makes an empty log; a class, so that hypothesis may make many in one test."""
    return Log


@pytest.fixture
def log() -> Log:
    """An empty log."""
    return Log()
