"""The spoken call of the demo and of `call`: what the simulated caller says and what must come of
it.

The caller is a person with a phone: they speak (synthesized, mu-law), listen until the other side
is silent, and say a sentence again when it was not understood. Everything is checked afterwards
against the call's events and the ear's record.
"""

from dataclasses import dataclass, field

from testbed.follower import Event, Follower
from testbed.twilio import Call, SimulatedTwilio
from testbed.voice.speaker import CALLER_VOICE, Speaker

LISTEN_MS = 900
"""A pause of the other side this long is the caller's go."""
ANSWER_S = 25.0
TRIES = 3


@dataclass(frozen=True)
class Turn:
    """A sentence, the tool that it must lead to (if any), and a word that must be understood."""

    text: str
    tool: str | None
    word: str


SEEDED = (
    Turn("what do i have today", "get_tasks", "today"),
    Turn("add buy milk for friday", "create_task", "milk"),
    Turn("i have done water the plants", "complete_task", "plants"),
    Turn("thank you goodbye", None, "goodbye"),
)
"""For a caller with todos (`python -m tool_runner.seed`)."""
FRESH = (
    Turn("add water the plants today", "create_task", "plants"),
    Turn("what do i have today", "get_tasks", "today"),
    Turn("i have done water the plants", "complete_task", "plants"),
    Turn("thank you goodbye", None, "goodbye"),
)
"""For a caller nobody knows."""


@dataclass
class Outcome:
    """What came of one call. `missing`: what should have happened and did not, a sentence each."""

    call_id: str
    missing: list[str] = field(default_factory=list[str])
    repeats: int = 0
    seconds: float = 0.0
    response_ms: list[float] = field(default_factory=list[float])
    dropped_frames: int = 0


class Caller:
    """One simulated person on the phone."""

    def __init__(self, twilio: SimulatedTwilio, follower: Follower, speaker: Speaker) -> None:
        self._twilio = twilio
        self._follower = follower
        self._speaker = speaker

    async def call(self, number: str, turns: tuple[Turn, ...]) -> Outcome:
        """Ring, talk through `turns`, hang up; what came of it."""
        call = await self._twilio.dial(number)
        outcome = Outcome(call.sid)
        try:
            await self._talk(call, turns, outcome)
        except TimeoutError as error:
            outcome.missing.append(f"the call stood still: {str(error).splitlines()[0]}")
        await call.hang_up()
        await call.ended(15)
        await self._settle(call, turns, outcome)
        return outcome

    async def _talk(self, call: Call, turns: tuple[Turn, ...], outcome: Outcome) -> None:
        await call.heard_silence(LISTEN_MS, ANSWER_S)
        for turn in turns:
            for attempt in range(TRIES):
                outcome.repeats += attempt > 0
                answered = self._done(call.sid, turn.tool)
                call.say(await self._speaker.speak(turn.text, CALLER_VOICE))
                await call.heard_silence(LISTEN_MS, ANSWER_S)
                if turn.tool is None or self._done(call.sid, turn.tool) > answered:
                    break
            else:
                outcome.missing.append(f"'{turn.text}' did not lead to {turn.tool}")

    def _done(self, call_id: str, tool: str | None) -> int:
        """How many calls of a tool have returned well."""
        asked = {e["id"] for e in self._follower.of(call_id, "tool_called") if e["name"] == tool}
        returned = self._follower.of(call_id, "tool_returned")
        return sum(e["called"] in asked and e["outcome"] == "ok" for e in returned)

    async def _settle(self, call: Call, turns: tuple[Turn, ...], outcome: Outcome) -> None:
        """Wait for the end of the log, then judge."""
        missing = outcome.missing

        def over(events: list[Event]) -> bool:
            names = {event["event"] for event in events}
            return {"call_ended", "stream_stopped"} <= names

        if not await self._follower.wait(call.sid, over, 8):
            missing.append("the log holds no call_ended")
        events = self._follower.events[call.sid]
        ended = [e["reason"] for e in events if e["event"] == "call_ended"]
        if ended and ended != ["caller_hung_up"]:
            missing.append(f"call_ended says {ended}, not that the caller hung up")
        understood = [e["text"].lower() for e in events if e["event"] == "turn_transcribed"]
        for turn in turns:
            if not any(turn.word in text for text in understood):
                missing.append(f"'{turn.text}' was not understood ({understood})")
        said = [e for e in events if e["event"] == "said" and e["done"] and e["text"]]
        if len(said) < len(turns) + 1:
            missing.append(f"the assistant spoke {len(said)} times, not {len(turns) + 1}")
        stopped = [e for e in events if e["event"] == "stream_stopped"]
        outcome.dropped_frames = sum(e.get("dropped_frames", 0) for e in stopped)
        if outcome.dropped_frames:
            missing.append(f"{outcome.dropped_frames} audio frames were dropped")
        outcome.seconds = call.duration_s()
        timed = (e for e in events if e["event"] == "response_timed")
        outcome.response_ms = [float(e["response_ms"]) for e in timed]
