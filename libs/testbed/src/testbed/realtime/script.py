"""The scripted model: a test's list of steps, followed to the letter.

    script = Script(
        expect("session.update", lambda e: e["session"]["audio"]["input"]["format"]["type"]
               == "audio/pcmu"),
        OnResponse(Say("Hello, how can I help?", audio_ms=1_200)),
        OnSpeech("what do I have today", CallTool("get_tasks", {"period": "today"})),
        expect_output(where=lambda result: result["todos"] == []),
        OnResponse(Say("Nothing today.")),
        expect_truncate(0, 400),
        Drop(1011),
    )
    async with RealtimeServer(Scripts(script)) as server: ...
    await script.finished()

An event, a turn or a response request that no step waits for, and a step that nothing came for,
fail the test with a message that names the step. Needs no speech engine: turns are real energy
with words from the script, speech is `tones.tone(text, ms)`.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from typing import Any

from testbed.realtime.items import Item
from testbed.realtime.minds import Controls, Drop, Emit, Part, Request
from testbed.realtime.steps import (
    AnyOrder,
    Event,
    Expect,
    OnResponse,
    OnSpeech,
    Step,
    is_output,
)

IGNORED = frozenset(
    {
        "input_audio_buffer.append",
        "session.update",
        "conversation.item.create",
        "conversation.item.retrieve",
        "response.create",
    }
)
"""Client events that need no step of their own. Outputs of function calls always do."""


class Script:
    """The mind of one session that follows its steps."""

    def __init__(self, *steps: Step, ignored: frozenset[str] = IGNORED) -> None:
        self.failure: str | None = None
        self._steps = list(steps)
        self._total = len(self._steps)
        self._ignored = ignored
        self._controls: Controls | None = None
        self._responding: set[str] = set()
        self._settled = asyncio.Event()

    async def finished(self, timeout_s: float = 10.0) -> None:
        """Wait until all steps are done; AssertionError at a failure or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._settled.wait()
        except TimeoutError:
            pass
        self.assert_finished()

    def assert_finished(self) -> None:
        """AssertionError if a step failed or is left."""
        if self.failure is not None:
            raise AssertionError(self.failure)
        if self._steps:
            raise AssertionError(f"the script was not finished: {self._position()}")
        if self._responding:
            raise AssertionError("the script was not finished: its last response still runs")

    # -- Mind

    def attach(self, controls: Controls) -> None:
        """Take over the session."""
        self._controls = controls
        if self.failure is not None:
            controls.drop(1011, "the script failed")
        self._advance()

    def observe(self, event: Event) -> None:
        """Match a client event with the steps that are due."""
        concerned = [s for s in self._due() if isinstance(s, Expect) and s.concerns(event)]
        for step in concerned:
            try:
                accepted = step.accepts(event)
            except (LookupError, TypeError) as error:
                self._fail(f"{error!r} while looking at {json.dumps(event)[:400]}")
                return
            if accepted:
                self._consume(step)
                return
        if concerned or event["type"] not in self._ignored or is_output(event):
            self._fail(f"unexpected {json.dumps(event)[:400]}")

    async def hear(self, item: Item) -> str:
        """The words that the script has for this turn."""
        for step in self._due():
            if isinstance(step, OnSpeech) and not step.heard:
                step.heard = True
                if not step.parts:
                    self._consume(step)
                return step.words
        self._fail(f"unexpected speech of {item.audio_ms} ms")
        return ""

    async def reply(self, request: Request) -> Sequence[Part]:
        """The parts that the script has for this response."""
        self._responding.add(request.response_id)
        for step in self._due():
            if isinstance(step, OnResponse) and (step.where is None or step.where(request)):
                self._consume(step)
                return step.parts
            if isinstance(step, OnSpeech) and step.heard:
                self._consume(step)
                return step.parts
        self._fail(f"unexpected response request ({request.cause})")
        return ()

    def response_done(self, response: Mapping[str, Any]) -> None:
        """A response ended: steps that waited for its end may run."""
        self._responding.discard(response["id"])
        self._advance()

    def detach(self) -> None:
        """The socket closed: steps that are left can no longer come."""
        self._controls = None
        self._responding.clear()
        self._advance()

    # -- steps

    def _due(self) -> list[Step]:
        if not self._steps:
            return []
        head = self._steps[0]
        return list(head.steps) if isinstance(head, AnyOrder) else [head]

    def _consume(self, step: Step) -> None:
        head = self._steps[0]
        if isinstance(head, AnyOrder):
            head.steps = [other for other in head.steps if other is not step]
            if not head.steps:
                del self._steps[0]
        else:
            del self._steps[0]
        self._advance()

    def _advance(self) -> None:
        """Run the actions that are due; they wait for the end of a running response."""
        controls = self._controls
        while controls is not None and self._steps and not self._responding:
            match self._steps[0]:
                case Emit(event):
                    controls.emit(event)
                case Drop(code, reason):
                    controls.drop(code, reason)
                case _:
                    break
            del self._steps[0]
        if not self._steps and not self._responding:
            self._settled.set()

    def _fail(self, what: str) -> None:
        if self.failure is None:
            self.failure = f"{what}; {self._position()}"
        self._settled.set()
        if self._controls is not None:
            self._controls.drop(1011, "the script failed")

    def _position(self) -> str:
        if not self._steps:
            return "all steps of the script were done"
        head = self._steps[0]
        label = head.label if isinstance(head, Expect | OnResponse | OnSpeech | AnyOrder) else head
        done = self._total - len(self._steps)
        return f"the script is at step {done + 1} of {self._total}: {label}"


class Scripts:
    """Makes the n-th session of a server follow the n-th script."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = scripts
        self.failure: str | None = None
        self._used = 0

    def __call__(self) -> Script:
        """The script of the next session; one session too many is a failure."""
        if self._used == len(self.scripts):
            self.failure = f"unexpected session {self._used + 1}: no script is left"
            refusing = Script()
            refusing.failure = self.failure
            return refusing
        self._used += 1
        return self.scripts[self._used - 1]

    async def finished(self, timeout_s: float = 10.0) -> None:
        """Wait until every script is done; AssertionError otherwise."""
        for script in self.scripts:
            await script.finished(timeout_s)
        if self.failure is not None:
            raise AssertionError(self.failure)
