"""One response as events: created, items, parts, deltas, done, in the API's order. Pure.

The session calls these methods as the response goes on and sends what they return. A response
can be finished at any moment; whatever is open is then closed in the right order with `.done`
events. Order: OpenAI Realtime reference, "normal turn" and "function call".
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from testbed.realtime.formats import BYTES_PER_MS, encode
from testbed.realtime.items import Conversation, Item
from testbed.realtime.schema import JsonObject
from testbed.realtime.usage import ASSISTANT_MS_PER_TOKEN, Tokens, text_tokens, usage

Events = list[JsonObject]


class ResponseWriter:
    """Builds the events of one response and fills the conversation with its items."""

    def __init__(
        self,
        *,
        response_id: str,
        conversation: Conversation | None,
        conversation_id: str,
        config: Mapping[str, Any],
        read: Tokens,
        cached: Tokens,
        new_id: Callable[[str], str],
    ) -> None:
        self.id = response_id
        self.config = config
        self.status = "in_progress"
        self.in_conversation = conversation is not None
        self._conversation = conversation
        self._conversation_id = conversation_id
        self._read, self._cached = read, cached
        self._new_id = new_id
        self._output: list[Item] = []
        self._open: Item | None = None
        self._audio_bytes = 0
        self._text_tokens_written = 0
        self._details: JsonObject | None = None

    @property
    def audio_ms(self) -> int:
        """ms of speech generated so far, whatever was truncated since."""
        return self._audio_bytes // BYTES_PER_MS

    @property
    def written(self) -> Tokens:
        """Output tokens so far."""
        return Tokens(self._text_tokens_written, self.audio_ms // ASSISTANT_MS_PER_TOKEN)

    @property
    def over_budget(self) -> bool:
        """Whether max_output_tokens is used up."""
        limit = self.config["max_output_tokens"]
        return limit != "inf" and self.written.total >= limit

    def created(self) -> Events:
        """response.created."""
        return [{"type": "response.created", "response": self.shown()}]

    def open_message(self, *, as_audio: bool) -> Events:
        """A new assistant message with one part, spoken or written."""
        kind = {"type": "output_audio", "transcript": ""}
        part: JsonObject = {"type": "audio", "transcript": ""}
        if not as_audio:
            kind, part = {"type": "output_text", "text": ""}, {"type": "text", "text": ""}
        item = Item(
            {
                "id": self._new_id("item"),
                "object": "realtime.item",
                "type": "message",
                "status": "in_progress",
                "role": "assistant",
                "content": [],
            }
        )
        events = self._open_item(item)
        item.content.append(dict(kind))
        return [*events, self._of_part("response.content_part.added", part=part)]

    def add_audio(self, mulaw: bytes) -> Events:
        """The next piece of speech of the open message."""
        item = self._opened()
        item.audio += mulaw
        self._audio_bytes += len(mulaw)
        payload = encode(mulaw, self.config["audio"]["output"]["format"])
        delta = base64.b64encode(payload).decode()
        return [self._of_part("response.output_audio.delta", delta=delta)]

    def add_text(self, delta: str) -> Events:
        """The next words of the open message: transcript of its speech, or its text."""
        part = self._opened().content[0]
        spoken = part["type"] == "output_audio"
        key = "transcript" if spoken else "text"
        if key in part:  # a truncated item has lost its transcript for good
            part[key] += delta
        self._text_tokens_written += text_tokens(delta)
        name = "response.output_audio_transcript.delta" if spoken else "response.output_text.delta"
        return [self._of_part(name, delta=delta)]

    def close_message(self, status: str = "completed") -> Events:
        """The `.done` family of the open message."""
        item = self._opened()
        part = item.content[0]
        if part["type"] == "output_audio":
            said = part.get("transcript", "")
            events = [
                self._of_part("response.output_audio.done"),
                self._of_part("response.output_audio_transcript.done", transcript=said),
                self._of_part(
                    "response.content_part.done", part={"type": "audio", "transcript": said}
                ),
            ]
        else:
            events = [
                self._of_part("response.output_text.done", text=part["text"]),
                self._of_part(
                    "response.content_part.done", part={"type": "text", "text": part["text"]}
                ),
            ]
        return events + self._close_item(status)

    def open_call(self, name: str, tool_call_id: str | None) -> Events:
        """A new function call with empty arguments."""
        item = Item(
            {
                "id": self._new_id("item"),
                "object": "realtime.item",
                "type": "function_call",
                "status": "in_progress",
                "name": name,
                "call_id": tool_call_id or self._new_id("call"),
                "arguments": "",
            }
        )
        return self._open_item(item)

    def add_arguments(self, delta: str) -> Events:
        """The next characters of the open call's arguments."""
        item = self._opened()
        item.wire["arguments"] += delta
        self._text_tokens_written += text_tokens(delta)
        return [
            self._of_item(
                "response.function_call_arguments.delta",
                call_id=item.wire["call_id"],
                delta=delta,
            )
        ]

    def close_call(self, status: str = "completed") -> Events:
        """The `.done` family of the open call."""
        item = self._opened()
        done = self._of_item(
            "response.function_call_arguments.done",
            call_id=item.wire["call_id"],
            name=item.wire["name"],
            arguments=item.wire["arguments"],
        )
        return [done, *self._close_item(status)]

    def finish(self, status: str, details: JsonObject | None = None) -> Events:
        """Close what is open and end the response; `details` go into status_details."""
        events: Events = []
        if self._open is not None:
            closes = self.close_message if self._open.type == "message" else self.close_call
            events = closes("completed" if status == "completed" else "incomplete")
        self.status = status
        self._details = None if details is None else {"type": status, **details}
        return [*events, {"type": "response.done", "response": self.shown()}]

    def shown(self) -> JsonObject:
        """The response object as it stands."""
        output = self.config["audio"]["output"]
        done = self.status != "in_progress"
        return {
            "object": "realtime.response",
            "id": self.id,
            "conversation_id": self._conversation_id if self.in_conversation else None,
            "status": self.status,
            "status_details": self._details,
            "output": [item.shown() for item in self._output],
            "output_modalities": self.config["output_modalities"],
            "audio": {"output": {"format": output["format"], "voice": output["voice"]}},
            "max_output_tokens": self.config["max_output_tokens"],
            "metadata": self.config["metadata"],
            "usage": usage(self._read, self._cached, self.written) if done else None,
        }

    def _open_item(self, item: Item) -> Events:
        self._open = item
        self._output.append(item)
        events = [self._of_output("response.output_item.added", item)]
        if self._conversation is not None:
            previous = self._conversation.append(item)
            events.append(
                {
                    "type": "conversation.item.added",
                    "previous_item_id": previous,
                    "item": item.shown(),
                }
            )
        return events

    def _close_item(self, status: str) -> Events:
        item = self._opened()
        item.wire["status"] = status
        events = [self._of_output("response.output_item.done", item)]
        if self._conversation is not None:
            done = {"type": "conversation.item.done", "item": item.shown()}
            events.append(done | {"previous_item_id": self._conversation.before(item)})
        self._open = None
        return events

    def _opened(self) -> Item:
        assert self._open is not None, "no item of this response is open"
        return self._open

    def _of_output(self, kind: str, item: Item) -> JsonObject:
        index = self._output.index(item)
        return {
            "type": kind,
            "response_id": self.id,
            "output_index": index,
            "item": item.shown(),
        }

    def _of_item(self, kind: str, **fields: Any) -> JsonObject:
        return {
            "type": kind,
            "response_id": self.id,
            "item_id": self._opened().id,
            "output_index": len(self._output) - 1,
            **fields,
        }

    def _of_part(self, kind: str, **fields: Any) -> JsonObject:
        return self._of_item(kind, content_index=0, **fields)
