"""The model's responses within one Realtime session (PURE): asked for one at a time, dead once they
are not for the caller's ear any more, asked for again when they gave no sound.

A part of conversation, which decides what is asked for; the gate keeps the order.
"""

from collections.abc import Sequence

from ai_agent.effects import Effect, GiveUp, Record, Tell
from ai_agent.realtime import commands
from ai_agent.realtime import events as rt
from ai_agent.response_gate import ResponseGate
from ai_agent.usage import tokens_of
from protocol.events import ResponseEnded, UsageReported

PERMANENT = frozenset(
    {
        "insufficient_quota",
        "credit_balance_exhausted",
        "invalid_api_key",
        "account_deactivated",
        "billing_hard_limit_reached",
    }
)
"""Failures that no retry mends."""
RETRIES = 2
"""Responses asked for again, in a row, that gave no audio before the call is given up."""


class Responses:
    """All responses by id. ``model`` is named with their usage."""

    def __init__(self, model: str) -> None:
        self._model = model
        self._dead: set[str] = set()
        self._dropped: set[str] = set()
        self._failures = 0
        self.gate = ResponseGate()

    def want(
        self,
        instructions: str | None = None,
        *,
        tools: bool = True,
        metadata: dict[str, str] | None = None,
    ) -> list[Effect]:
        """Ask for one now, or as soon as none runs."""
        return told(self.gate.want(instructions, tools=tools, metadata=metadata))

    def dead(self, response_id: str) -> bool:
        """Nothing more of it is for the caller."""
        return response_id in self._dead

    def dropped(self, response_id: str | None) -> bool:
        """It is dead and counts as never made."""
        return response_id in self._dropped

    def kill(self, response_id: str) -> None:
        self._dead.add(response_id)

    def interrupted(self) -> None:
        """Server VAD cancels the active one: deltas under way are not for the caller's ear."""
        if self.gate.active is not None:
            self.kill(self.gate.active)

    def cancel(self) -> list[Effect]:
        """Stop the active one."""
        active = self.gate.active
        if active is None:
            return []
        self.kill(active)
        return [Tell(commands.cancel_response(active))]

    def drop(self, response_id: str) -> list[Effect]:
        """Take one back that has not sounded; its items leave the conversation when it ended."""
        if self.dead(response_id):
            return []
        self._dropped.add(response_id)
        self.kill(response_id)
        return [Tell(commands.cancel_response(response_id))]

    def sounded(self) -> None:
        """One gave audio."""
        self._failures = 0

    def ended(self, response: rt.Response) -> list[Effect]:
        """What it consumed and why it did not complete; the items of a dropped one go."""
        effects: list[Effect] = []
        if response.usage is not None:
            fields = {
                "source": "response",
                "reference": response.id,
                "model": self._model,
                "tokens": tokens_of(response.usage),
            }
            effects.append(Record(UsageReported, fields))
        if response.status != "completed":
            effects.append(_ended(response))
        if self.dropped(response.id):
            effects += [Tell(commands.delete_item(item.id)) for item in response.output]
        return effects

    def silent(self, response: rt.Response) -> list[Effect]:
        """It ended without sound or tool call. One that was cut is not asked for again."""
        if response.status == "cancelled" or self.dead(response.id):
            return []
        error = response.status_details.error if response.status_details else None
        return self._again((error.code or error.type) if error else response.status)

    def refused(self, error: rt.ErrorBody) -> list[Effect]:
        """The model answered with an error; most end nothing."""
        if error.code == "conversation_already_has_active_response":
            self.gate.refused()
        elif error.code in PERMANENT:
            return [GiveUp(f"the model refuses: {error.code}")]
        elif error.event_id == commands.CREATE_EVENT_ID and self.gate.failed():
            return self._again(error.code or error.type)
        return []

    def _again(self, code: str) -> list[Effect]:
        """No sound came of a response: ask again, and give up in time rather than be silent."""
        self._failures += 1
        if code in PERMANENT or self._failures > RETRIES:
            return [GiveUp(f"responses fail: {code}")]
        return self.want()


def told(found: Sequence[commands.Command]) -> list[Effect]:
    """The commands as effects."""
    return [Tell(command) for command in found]


def _ended(response: rt.Response) -> Record:
    details = response.status_details
    error = details.error if details else None
    reason = (error.code or error.type) if error else (details.reason if details else None)
    status = response.status if response.status in ("cancelled", "incomplete") else "failed"
    fields = {"response_id": response.id, "status": status, "reason": reason or ""}
    return Record(ResponseEnded, fields)
