"""One call at the simulated Twilio, as a scripted caller, a test or REST handles it.

Made by SimulatedTwilio. What happens by itself is run by Life in one task owned here. Never reads
TwiML (program) and never sends frames (leg).
"""

import asyncio
from collections.abc import Callable
from datetime import datetime

from testbed.twilio.ear import Ear
from testbed.twilio.faults import Faults
from testbed.twilio.forms import CallFacts
from testbed.twilio.leg import Entry, Leg
from testbed.twilio.life import HangUp, Life, Network, Plan
from testbed.twilio.media_stream import MediaStream
from testbed.twilio.program import Fetch, Inline

POLL_S = 0.01


class Call:
    """A live or finished call. Times are ms of its clock, 0 = dialled; audio is mu-law 8 kHz."""

    def __init__(self, facts: CallFacts, plan: Plan, faults: Faults, network: Network) -> None:
        self._leg = Leg(facts, faults)
        self._leg.set_status("ringing" if facts.direction == "inbound" else "queued")
        self._life = Life(self._leg, plan, network)
        self._heard_until_ms = -1.0
        self._task = asyncio.create_task(self._life.run(), name=f"call-{facts.call_sid}")

    @property
    def facts(self) -> CallFacts:
        """Identifiers, numbers and direction."""
        return self._leg.facts

    @property
    def sid(self) -> str:
        """The CallSid."""
        return self._leg.facts.call_sid

    @property
    def status(self) -> str:
        """The status as REST shows it."""
        return self._leg.status

    @property
    def end_reason(self) -> str | None:
        """Why the call ended, None before.

        caller_hung_up, rest_completed, canceled, time_limit, hangup_verb, end_of_twiml,
        application_error, rejected, rejected_busy, stream_lost, stream_refused, or for an
        outbound call busy, no-answer, failed.
        """
        return self._life.end_reason

    @property
    def statuses(self) -> list[str]:
        """Every status so far, in order."""
        return self._leg.statuses

    @property
    def log(self) -> list[Entry]:
        """What happened, with times."""
        return self._leg.log

    @property
    def documents(self) -> list[str]:
        """Every TwiML document received, in order."""
        return self._leg.documents

    @property
    def ear(self) -> Ear:
        """What the caller heard."""
        return self._leg.ear

    @property
    def faults(self) -> Faults:
        """This call's own fault switches."""
        return self._leg.faults

    @property
    def stream(self) -> MediaStream | None:
        """The media stream the caller is connected with at this moment."""
        return self._leg.stream

    @property
    def streams(self) -> list[MediaStream]:
        """Every stream of the call, in order."""
        return self._leg.streams

    @property
    def over(self) -> bool:
        """The line is down; callbacks may still be on their way."""
        return self._leg.over

    def now_ms(self) -> float:
        """The call clock."""
        return self._leg.now_ms()

    @property
    def created(self) -> datetime:
        """When the call was dialled (UTC), the zero of its clock."""
        return self._leg.created

    @property
    def answered_ms(self) -> float | None:
        """When it was answered."""
        return self._leg.answered_ms

    @property
    def ended_ms(self) -> float | None:
        """When the line went down."""
        return self._leg.ended_ms

    def duration_s(self) -> float:
        """Seconds from answer to end; 0 before the end."""
        return self._leg.duration_s()

    def say(self, audio: bytes) -> asyncio.Future[bool]:
        """Speak mu-law bytes after what is already queued.

        The future gets True with the last frame, or False if the call ended first. The first
        words wait for the first stream; words said between two streams are lost.
        """
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def done(spoken: bool) -> None:
            if not future.done():
                future.set_result(spoken)

        if self.over or not audio:
            done(not self.over)
        else:
            self._leg.mouth.say(audio, done)
        return future

    def shut_up(self) -> None:
        """Stop speaking at once; unsaid speech gets False."""
        self._leg.mouth.fall_silent()

    def press(self, digits: str) -> bool:
        """Press keys (0-9 * # A-D), one message each. False if no stream was there to hear it."""
        if not digits or set(digits) - set("0123456789*#ABCD"):
            raise ValueError(f"no such key: {digits!r}")
        stream = self._leg.stream
        if stream is None or not stream.started:
            self._leg.note("key-lost")
            return False
        for digit in digits:
            stream.send_key(digit)
        return True

    async def hang_up(self, *, abrupt: bool = False) -> None:
        """The caller hangs up; returns when the line is down (callbacks follow).

        `abrupt` cuts the media socket without `stop`, so that only the callbacks tell.
        """
        self._leg.caller_gone = True
        self._life.interrupt(HangUp("caller_hung_up", abrupt))
        await self._life.line_down.wait()

    def update(self, change: Fetch | Inline | None) -> None:
        """What a REST update does: new TwiML, or None to end the call."""
        if change is not None:
            self._life.interrupt(change)
            return
        early = self._leg.answered_ms is None
        self._life.interrupt(HangUp("canceled" if early else "rest_completed"))

    def limit(self, seconds: float) -> None:
        """End the call that long after now, as `TimeLimit` does."""
        loop = asyncio.get_running_loop()
        handle = loop.call_later(seconds, self._life.interrupt, HangUp("time_limit"))
        self._task.add_done_callback(lambda _: handle.cancel())

    async def wait_until(self, predicate: Callable[["Call"], object], timeout: float) -> None:
        """Return as soon as the predicate is true. Raises TimeoutError with the call's log."""
        try:
            async with asyncio.timeout(timeout):
                while not predicate(self):  # noqa: ASYNC110 - it may look at anything, also outside
                    await asyncio.sleep(POLL_S)
        except TimeoutError:
            raise TimeoutError(f"nothing within {timeout} s; {self._story()}") from None

    async def heard_silence(self, ms: float, timeout: float) -> bytes:
        """Wait until the other side has spoken and then been silent for `ms`: the caller's go.

        Counts audio heard after the caller's last word, and after the last return of this method;
        returns it. Raises TimeoutError with the call's log.
        """

        def their_go_is_over(call: "Call") -> bool:
            leg = call._leg
            since = max(self._heard_until_ms, leg.last_said_ms)
            last = leg.ear.last_heard_ms
            return leg.mouth.idle and last > since and leg.now_ms() - last >= ms

        await self.wait_until(their_go_is_over, timeout)
        since = max(self._heard_until_ms, self._leg.last_said_ms)
        self._heard_until_ms = self._leg.ear.last_heard_ms
        return self._leg.ear.audio(since)

    async def ended(self, timeout: float) -> str:
        """Wait until the call is over and every callback was delivered; returns end_reason.

        Raises TimeoutError with the call's log, or what went wrong inside the simulation.
        """
        try:
            async with asyncio.timeout(timeout):
                await asyncio.shield(self._task)
        except TimeoutError:
            raise TimeoutError(f"not over within {timeout} s; {self._story()}") from None
        return self.end_reason or ""

    async def abandon(self) -> None:
        """Drop the call at once with everything that is on its way (end of the simulation)."""
        self._task.cancel()
        await asyncio.wait({self._task})
        if not self._task.cancelled() and (error := self._task.exception()) is not None:
            raise error

    def _story(self) -> str:
        lines = [f"{e.at_ms:8.0f} {e.what} {e.detail}" for e in self.log[-20:]]
        ear = f"heard {self.ear.heard_ms():.0f} ms, last at {self.ear.last_heard_ms:.0f}"
        return "\n".join([f"{self.sid} {self.status} at {self.now_ms():.0f} ms, {ear}", *lines])
