"""The spans of a call while one worker holds it: assignment, sessions, responses, tools (pure)."""

import re
from collections import deque
from datetime import datetime, timedelta

from msgspec import Struct, field

from protocol import events
from protocol.events import AgentEvent, name_of
from protocol.ids import CallId, Epoch, EventId

Attributes = dict[str, str | int | float | bool]
MOST_MOMENTS = 100
"""Things that happened within one span; further ones are left out."""
RENEWED = "renewed"
"""Why a session ended that another replaced in good time: no failure."""
_TOOL = re.compile(r"[a-z0-9_]{1,64}")
_REMEMBERED = 32
_MOMENTS: dict[type[AgentEvent], tuple[str, ...]] = {
    events.HandingOver: (),
    events.ModeChanged: ("mode",),
    events.PinRequested: ("attempt",),
    events.PinAccepted: (),
    events.PinRejected: ("tries_left",),
    events.CallerAdmitted: ("standing",),
    events.LimitReached: ("limit",),
    events.OutputStopped: ("rule",),
    events.SessionUpdated: (),
    events.BargedIn: ("heard_ms",),
    events.Resumed: (),
}
"""Events that are shown as moments of the span they fall into, and what is told of them."""


class Moment(Struct, frozen=True):
    """Something that happened while a span was open."""

    name: str
    at: datetime
    attributes: Attributes


class Span(Struct, frozen=True, kw_only=True):
    """A finished span. ``key`` names it within its call, ``parent`` the one it belongs to."""

    call: CallId
    key: str
    parent: str | None
    name: str
    began: datetime
    ended: datetime
    attributes: Attributes
    moments: tuple[Moment, ...] = ()
    failed: bool = False


class OpenSpan(Struct):
    """One that has not ended."""

    call: CallId
    key: str
    parent: str | None
    name: str
    began: datetime
    attributes: Attributes
    moments: list[Moment] = field(default_factory=list[Moment])
    done_at: datetime | None = None

    def moment(self, moment: Moment) -> None:
        if len(self.moments) < MOST_MOMENTS:
            self.moments.append(moment)

    def close(self, at: datetime, *, failed: bool = False) -> Span:
        return Span(
            call=self.call,
            key=self.key,
            parent=self.parent,
            name=self.name,
            began=self.began,
            ended=max(self.began, at),
            attributes=self.attributes,
            moments=tuple(self.moments),
            failed=failed,
        )


def tool(called: EventId) -> str:
    """The key of a tool call's span."""
    return f"tool.{called}"


class Held:
    """One worker's time with a call, from its ``assigned`` on."""

    def __init__(self, taken: events.Assigned, epoch: Epoch, parent: str) -> None:
        shown: Attributes = {
            "trunkline.leg": taken.leg,
            "trunkline.epoch": epoch,
            "trunkline.worker": taken.worker,
            "trunkline.reason": taken.reason,
        }
        self._call = taken.call_id
        self._assignment = self._open(f"assignment.{epoch}", parent, "assignment", taken.at, shown)
        self._session: OpenSpan | None = None
        self._responses: dict[str, OpenSpan] = {}
        self._ended: deque[str] = deque(maxlen=_REMEMBERED)
        self._tools: dict[EventId, OpenSpan] = {}
        self._asked_at: datetime | None = None
        """Since when a response is owed: the caller's turn or a tool's result."""

    def written(self, event: AgentEvent) -> list[Span]:
        """The spans that are finished by ``event``."""
        finished = self._finished(event)
        match event:
            case events.SessionOpened():
                finished += self._end_session(event.at, failed=False)
                self._begin_session(event)
            case events.SessionLost():
                finished += self._end_session(event.at, failed=event.reason != RENEWED)
            case events.TurnCommitted():
                self._asked_at = event.at
            case events.Said() if event.response_id:  # without one: a sentence of the speaker
                self._response(event.response_id, event.at)
            case events.UsageReported():
                self._used(event)
            case events.ResponseEnded():
                finished += self._not_completed(event)
            case events.ResponseTimed():
                finished.append(self._timed(event))
            case events.ToolCalled():
                self._begin_tool(event)
            case events.ToolReturned():
                finished.append(self._end_tool(event))
            case _:
                self._moment(event)
                if isinstance(event, events.ModeChanged) and event.mode != "conversation":
                    finished += self._end_session(event.at, failed=False)
        return finished

    def close(self, at: datetime) -> list[Span]:
        """The worker lets go: everything ends."""
        tools = [each.close(at, failed=True) for each in self._tools.values()]
        return [*tools, *self._end_session(at, failed=False), self._assignment.close(at)]

    # -- sessions and responses

    def _begin_session(self, event: events.SessionOpened) -> None:
        shown: Attributes = {
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": event.model,
            "trunkline.profile": event.profile,
            "trunkline.generation": event.generation,
        }
        key = f"session.{event.epoch}.{event.generation}"
        self._session = self._open(key, self._assignment.key, "session", event.at, shown)
        self._asked_at = event.at

    def _end_session(self, at: datetime, *, failed: bool) -> list[Span]:
        finished = [each.close(each.done_at or at) for each in self._responses.values()]
        self._ended.extend(self._responses)
        self._responses.clear()
        if self._session is not None:
            finished.append(self._session.close(at, failed=failed))
            self._session = None
        return finished

    def _response(self, response_id: str, at: datetime) -> OpenSpan | None:
        """The span of a response, opened with the first that is heard of it; None: it is over."""
        if response_id not in self._responses and response_id not in self._ended:
            began, self._asked_at = self._asked_at or at, None
            key = f"response.{response_id}"
            self._responses[response_id] = self._open(key, self._inner, "response", began, {})
        return self._responses.get(response_id)

    def _used(self, event: events.UsageReported) -> None:
        if event.source != "response":
            return
        response = self._response(event.reference, event.at)
        if response is None:
            return
        tokens = event.tokens
        response.attributes |= {
            "gen_ai.request.model": event.model,
            "gen_ai.usage.input_tokens": tokens.text_in + tokens.audio_in,
            "gen_ai.usage.output_tokens": tokens.text_out + tokens.audio_out,
        }
        if event.cost_usd is not None:
            response.attributes["trunkline.cost_usd"] = event.cost_usd
        response.done_at = event.at

    def _finished(self, event: AgentEvent) -> list[Span]:
        """Responses whose usage is known end with it; the event right behind may say how."""
        about = event.response_id if isinstance(event, events.ResponseEnded) else None
        over = [
            key
            for key, each in self._responses.items()
            if each.done_at is not None and key != about
        ]
        finished: list[Span] = []
        for key in over:
            response = self._responses.pop(key)
            response.attributes["trunkline.status"] = "completed"
            finished.append(response.close(response.done_at or event.at))
            self._ended.append(key)
        return finished

    def _not_completed(self, event: events.ResponseEnded) -> list[Span]:
        response = self._response(event.response_id, event.at)
        if response is None:
            return []
        del self._responses[event.response_id]
        self._ended.append(event.response_id)
        response.attributes["trunkline.status"] = event.status
        return [response.close(response.done_at or event.at, failed=event.status == "failed")]

    def _timed(self, event: events.ResponseTimed) -> Span:
        """The caller's wait, from the end of their words to the first sound of the answer."""
        began = event.at - timedelta(milliseconds=event.response_ms)
        key = f"response_time.{event.id}"
        return self._open(key, self._inner, "response_time", began, {}).close(event.at)

    # -- tools

    def _begin_tool(self, event: events.ToolCalled) -> None:
        # The model made the name up: only what looks like one is shown.
        name = event.name if _TOOL.fullmatch(event.name) else "unknown"
        shown: Attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": name,
            "gen_ai.tool.call.id": event.tool_call_id,
        }
        self._tools[event.id] = self._open(
            tool(event.id), self._inner, f"execute_tool {name}", event.at, shown
        )

    def _end_tool(self, event: events.ToolReturned) -> Span:
        self._asked_at = event.at
        span = self._tools.pop(event.called, None)
        if span is None:  # written ahead by the worker before
            began = event.at - timedelta(milliseconds=event.took_ms)
            span = self._open(tool(event.called), self._inner, "execute_tool", began, {})
        span.attributes["trunkline.outcome"] = event.outcome
        return span.close(event.at, failed=event.outcome != "ok")

    # -- all

    @property
    def _inner(self) -> str:
        return (self._session or self._assignment).key

    def _moment(self, event: AgentEvent) -> None:
        shown = _MOMENTS.get(type(event))
        if shown is not None:
            told: Attributes = {f"trunkline.{name}": getattr(event, name) for name in shown}
            within = self._session or self._assignment
            within.moment(Moment(name_of(event), event.at, told))

    def _open(
        self, key: str, parent: str, name: str, began: datetime, shown: Attributes
    ) -> OpenSpan:
        return OpenSpan(self._call, key, parent, name, began, shown)
