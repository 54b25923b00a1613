"""The responses of a session: at most one in the default conversation, any number beside it.

Called by the session to create, cancel and interrupt; asks the mind for content and performs it.
Refusals are ApiError. Rules: OpenAI Realtime reference, response.create and response.cancel.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from testbed.realtime import config
from testbed.realtime.errors import active_response, invalid, nothing_to_cancel
from testbed.realtime.host import Habits, Host
from testbed.realtime.items import Conversation, Item
from testbed.realtime.minds import Controls, Mind, Request
from testbed.realtime.performing import Outcome, perform
from testbed.realtime.responses import Events, ResponseWriter
from testbed.realtime.schema import JsonObject, as_object
from testbed.realtime.usage import Tokens, input_tokens

TOKENS_PER_MINUTE = 40_000
REQUESTS_PER_MINUTE = 5_000


@dataclass(slots=True)
class _Running:
    writer: ResponseWriter
    task: asyncio.Task[None] | None = None


class Responder:
    """Creates, performs and ends the responses of one session."""

    def __init__(
        self,
        *,
        conversation: Conversation,
        mind: Mind,
        host: Host,
        controls: Controls,
        habits: Habits,
        new_id: Callable[[str], str],
        heard: Callable[[str], Awaitable[str]],
        on_finished: Callable[[int], None],
    ) -> None:
        self.voice_locked = False
        self._conversation = conversation
        self._conversation_id = new_id("conv")
        self._mind, self._host, self._controls, self._habits = mind, host, controls, habits
        self._new_id, self._heard, self._on_finished = new_id, heard, on_finished
        self._running: dict[str, _Running] = {}
        self._last_read = Tokens()
        self._requests = 0

    def create(
        self,
        cause: Literal["client", "turn", "idle"],
        session: Mapping[str, Any],
        overrides: Any,
    ) -> None:
        """Start a response; ApiError if the default conversation already has one running."""
        effective = config.for_response(session, overrides, voice_locked=self.voice_locked)
        in_conversation = effective["conversation"] == "auto"
        active = self._active()
        if in_conversation and active is not None:
            raise active_response(active.writer.id)
        items = self._context(effective)
        read = input_tokens(effective, items)
        writer = ResponseWriter(
            response_id=self._new_id("resp"),
            conversation=self._conversation if in_conversation else None,
            conversation_id=self._conversation_id,
            config=effective,
            read=read,
            cached=self._last_read,
            new_id=self._new_id,
        )
        self._last_read = read
        running = self._running[writer.id] = _Running(writer)
        self._send([*writer.created(), self._rate_limits(read)])
        asked = None if overrides is None else overrides.get("instructions")
        request = Request(writer.id, cause, effective, asked, items, self._heard)
        running.task = self._host.spawn(self._perform(running, request))

    def cancel(self, response_id: str | None) -> None:
        """response.cancel: the named response, or the one of the default conversation."""
        running = self._active() if response_id is None else self._running.get(response_id)
        if running is None:
            raise nothing_to_cancel()
        self._stop(running, "client_cancelled")

    def interrupt(self) -> None:
        """The caller began to speak: the default conversation's response ends, if one runs."""
        active = self._active()
        if active is not None:
            self._stop(active, "turn_detected")

    def _active(self) -> _Running | None:
        return next((r for r in self._running.values() if r.writer.in_conversation), None)

    def _context(self, effective: Mapping[str, Any]) -> tuple[Item, ...]:
        if "input" not in effective:
            return tuple(self._conversation)
        return tuple(
            self._context_item(raw, f"response.input[{index}]")
            for index, raw in enumerate(effective["input"])
        )

    def _context_item(self, raw: Any, path: str) -> Item:
        wanted = as_object(raw, path)
        if wanted.get("type") != "item_reference":
            return self._conversation.read(raw)
        item = self._conversation.find(str(wanted.get("id")))
        if item is None:
            raise invalid(f"{path}.id", f"Item with id '{wanted.get('id')}' not found.")
        return item

    async def _perform(self, running: _Running, request: Request) -> None:
        parts = await self._mind.reply(request)
        spoken = request.config["output_modalities"] == ["audio"]
        outcome = await perform(
            parts,
            running.writer,
            send=self._send,
            controls=self._controls,
            pace=self._habits.pace,
            as_audio=spoken and not self._habits.answer_in_text,
        )
        self._finish(running, outcome)

    def _stop(self, running: _Running, reason: str) -> None:
        if running.task is not None:
            running.task.cancel()
        self._finish(running, Outcome("cancelled", {"reason": reason}))

    def _finish(self, running: _Running, outcome: Outcome) -> None:
        writer = running.writer
        del self._running[writer.id]
        self._send(writer.finish(outcome.status, outcome.details))
        if writer.in_conversation:
            self._on_finished(writer.audio_ms)
        self._mind.response_done(writer.shown())

    def _send(self, events: Events) -> None:
        for event in events:
            if event["type"] == "response.output_audio.delta":
                self.voice_locked = True
            self._controls.emit(event)

    def _rate_limits(self, read: Tokens) -> JsonObject:
        self._requests += 1
        limits = (
            ("requests", REQUESTS_PER_MINUTE, self._requests),
            ("tokens", TOKENS_PER_MINUTE, read.total),
        )
        return {
            "type": "rate_limits.updated",
            "rate_limits": [
                {
                    "name": name,
                    "limit": limit,
                    "remaining": max(0, limit - used),
                    "reset_seconds": round(60.0 * min(used, limit) / limit, 3),
                }
                for name, limit, used in limits
            ],
        }
