"""The one gate for ``response.create`` (pure): never two responses at once, exactly one after all
tool outputs.

OpenAI answers a create during a response with ``conversation_already_has_active_response``;
server VAD makes responses of its own at any time. So a create is kept until the running response
is done, and skipped when a response that began after the outputs were accepted has already seen
them.
"""

from ai_agent.realtime.commands import Command, create_response
from protocol.ids import ToolCallId

UNKNOWN = "unknown"
"""Stands for a response that the model told of only by refusing ours."""


class ResponseGate:
    """Knows the active response, creates under way, and tool calls without an output that was
    seen.
    """

    def __init__(self) -> None:
        self.active: str | None = None
        self.muted = False
        """Nothing is asked for, and what is wanted meanwhile is dropped."""
        self._asked = False
        self._pending: list[Command] = []
        self._last_asked: Command | None = None
        self._running: set[ToolCallId] = set()
        self._sent: set[ToolCallId] = set()
        self._accepted: set[ToolCallId] = set()

    def want(
        self,
        instructions: str | None = None,
        *,
        tools: bool = True,
        metadata: dict[str, str] | None = None,
    ) -> list[Command]:
        """Ask for a response now or as soon as the gate is free."""
        if not self.muted:
            self._pending.append(create_response(instructions, tools=tools, metadata=metadata))
        return self._next()

    def mute(self) -> None:
        """Ask for nothing until ``unmute``; what was wanted is dropped, what runs goes on."""
        self.muted = True
        self._pending.clear()
        self._last_asked = None

    def unmute(self) -> list[Command]:
        """Ask again, at once for the answer to outputs that came meanwhile."""
        self.muted = False
        return self._next()

    def tool_started(self, tool_call_id: ToolCallId) -> bool:
        """A tool call was handed out. False when it was before (both done events name it)."""
        if tool_call_id in self._running or tool_call_id in self._sent:
            return False
        self._running.add(tool_call_id)
        return True

    def output_sent(self, tool_call_id: ToolCallId, *, seen: bool = False) -> list[Command]:
        """Its output is on the way to the model; the answer to all outputs is asked for after the
        last. ``seen``: this one needs no answer.
        """
        self._running.discard(tool_call_id)
        if not seen:
            self._sent.add(tool_call_id)
        return self._next()

    def output_accepted(self, tool_call_id: ToolCallId) -> None:
        """The conversation holds the output: a response that begins from here on sees it."""
        self._accepted.add(tool_call_id)

    def created(self, response_id: str) -> None:
        """A response began, asked for by us or by server VAD."""
        self.active = response_id
        self._asked = False
        self._sent -= self._accepted
        self._accepted.clear()

    def done(self, response_id: str) -> list[Command]:
        """A response ended, however."""
        if self.active == response_id:
            self.active = None
        return self._next()

    def refused(self) -> None:
        """Our create met a response not heard of yet: ask again when it is done."""
        if self._asked:
            self._asked = False
            if self._last_asked is not None:  # one for outputs is asked again by what made it due
                self._pending.insert(0, self._last_asked)
            # Until that response's own ``created`` arrives the gate must stay shut.
            self.active = self.active or UNKNOWN

    def failed(self) -> bool:
        """Our create was refused for another reason. False when none was under way."""
        was, self._asked = self._asked, False
        return was

    def waits(self) -> bool:
        """The model is to speak or speaks: a response runs or is asked for."""
        return self._asked or self.active is not None

    def coming(self) -> bool:
        """A response is on its way whose id is not known yet."""
        return self._asked or self.active == UNKNOWN

    def busy(self) -> bool:
        """A response runs, is asked for or due, or a tool works; while muted nothing is due."""
        if self.muted:
            return self.waits()
        due = self._asked or bool(self._pending) or bool(self._running) or bool(self._sent)
        return self.active is not None or due

    def _next(self) -> list[Command]:
        if self.active is not None or self._asked or self.muted:
            return []
        if self._pending:
            command = self._last_asked = self._pending.pop(0)
        elif self._sent and not self._running:
            command, self._last_asked = create_response(), None
        else:
            return []
        self._asked = True
        return [command]
