"""One simulated Realtime session: client events in, server events out, by the GA API's rules.

Owned by a connection; asks its mind what to hear and say. Never touches sockets: events go to
`emit`, coroutines to `spawn`. Built to the OpenAI Realtime reference (GA, WebSocket).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any, Literal

from testbed.realtime import commands, config
from testbed.realtime.errors import ApiError, session_expired
from testbed.realtime.formats import BYTES_PER_MS, InputDecoder, encode
from testbed.realtime.host import Habits, Host
from testbed.realtime.input_buffer import InputBuffer
from testbed.realtime.items import Conversation, Item, decode_audio
from testbed.realtime.listener import Listener
from testbed.realtime.minds import Mind
from testbed.realtime.responder import Responder
from testbed.realtime.schema import JsonObject
from testbed.realtime.vad import SpeechStarted
from testbed.voice.g711 import MULAW_SILENCE


class Session:
    """State and rules of one session."""

    def __init__(
        self,
        *,
        session_id: str,
        model: str,
        expires_at: int,
        mind: Mind,
        host: Host,
        habits: Habits,
    ) -> None:
        self.id = session_id
        self._numbers = itertools.count(1)
        self.config = config.defaults(session_id, model, expires_at)
        self.conversation = Conversation(self._new_id)
        self._mind, self._host, self._habits = mind, host, habits
        self._input = InputBuffer()
        self._decoder = InputDecoder()
        self._input.detect_turns(config.vad_settings(self.config))
        self._turn_item_id = ""
        self._listener = Listener(mind, host.spawn, self.emit)
        self._responder = Responder(
            conversation=self.conversation,
            mind=mind,
            host=host,
            controls=self,
            habits=habits,
            new_id=self._new_id,
            heard=self._listener.words_of,
            on_finished=self._response_finished,
        )
        self._idle_at_ms: int | None = None
        self._handlers: dict[str, Callable[[JsonObject], None]] = {
            "session.update": self._update,
            "input_audio_buffer.append": self._append,
            "input_audio_buffer.commit": self._commit,
            "input_audio_buffer.clear": self._clear,
            "conversation.item.create": self._create_item,
            "conversation.item.retrieve": self._retrieve_item,
            "conversation.item.delete": self._delete_item,
            "conversation.item.truncate": self._truncate_item,
            "response.create": self._create_response,
            "response.cancel": self._cancel_response,
        }

    # -- the connection's side

    def open(self) -> None:
        """Greet the client with session.created, then attach the mind."""
        self.emit({"type": "session.created", "session": self.config})
        self._mind.attach(self)

    def close(self) -> None:
        """The socket closed."""
        self._mind.detach()

    def receive(self, message: str | bytes) -> None:
        """One frame of the client's; a bad one is answered with an `error` event."""
        event_id: str | None = None
        try:
            event = commands.parse(message)
            given_id = event.get("event_id")
            event_id = given_id if isinstance(given_id, str) else None
            event = commands.check(event)
            self._mind.observe(event)
            self._handlers[event["type"]](event)
        except ApiError as error:
            self._refuse(error, event_id)

    def expire(self) -> None:
        """End of the life time: error session_expired, then close 1001."""
        error = session_expired(round(self._habits.lifetime_s / 60))
        self._refuse(error, None)
        self.drop(1001, error.message)

    def emit(self, event: Mapping[str, Any]) -> None:
        """Send a server event; an absent event_id is filled in."""
        self._host.emit({"event_id": self._new_id("event"), **event})

    def drop(self, code: int | None, reason: str = "") -> None:
        """Close the socket (None: cut it)."""
        self._host.drop(code, reason)

    # -- client events

    def _update(self, event: JsonObject) -> None:
        self.config = config.updated(
            self.config, event["session"], voice_locked=self._responder.voice_locked
        )
        self._input.detect_turns(config.vad_settings(self.config))
        self._idle_at_ms = None  # armed again by the next response, under the new settings
        self.emit({"type": "session.updated", "session": self.config})

    def _append(self, event: JsonObject) -> None:
        audio = decode_audio(event["audio"], "audio")
        mulaw = self._decoder.decode(audio, self.config["audio"]["input"]["format"])
        for change in self._input.append(mulaw):
            if isinstance(change, SpeechStarted):
                self._speech_started(change.audio_start_ms)
            else:
                self._speech_stopped(change.audio_end_ms, change.audio)
        if self._idle_at_ms is not None and self._input.clock_ms >= self._idle_at_ms:
            self._idle_timeout(self._idle_at_ms)

    def _commit(self, _event: JsonObject) -> None:
        self._take_turn(self._input.commit(), self._turn_item_id or self._new_id("item"))

    def _clear(self, _event: JsonObject) -> None:
        self._input.clear()
        self._turn_item_id = ""
        self.emit({"type": "input_audio_buffer.cleared"})

    def _create_item(self, event: JsonObject) -> None:
        item, previous = self.conversation.create(event["item"], event.get("previous_item_id"))
        self._added(item, previous)
        self._listen_to_created(item)

    def _retrieve_item(self, event: JsonObject) -> None:
        audio_format = self.config["audio"]["output"]["format"]
        wire = self.conversation.retrieve(
            event["item_id"], lambda audio: encode(audio, audio_format)
        )
        self.emit({"type": "conversation.item.retrieved", "item": wire})

    def _delete_item(self, event: JsonObject) -> None:
        self.conversation.delete(event["item_id"])
        self.emit({"type": "conversation.item.deleted", "item_id": event["item_id"]})

    def _truncate_item(self, event: JsonObject) -> None:
        place = {name: event[name] for name in ("item_id", "content_index", "audio_end_ms")}
        self.conversation.truncate(**place)
        self.emit({"type": "conversation.item.truncated", **place})

    def _create_response(self, event: JsonObject) -> None:
        self._responder.create("client", self.config, event.get("response"))

    def _cancel_response(self, event: JsonObject) -> None:
        self._responder.cancel(event.get("response_id"))

    # -- turns

    def _speech_started(self, start_ms: int) -> None:
        self._idle_at_ms = None
        self._turn_item_id = self._new_id("item")
        self.emit(
            {
                "type": "input_audio_buffer.speech_started",
                "audio_start_ms": start_ms,
                "item_id": self._turn_item_id,
            }
        )
        if self._turn_detection()["interrupt_response"]:
            self._responder.interrupt()

    def _speech_stopped(self, end_ms: int, audio: bytes) -> None:
        self.emit(
            {
                "type": "input_audio_buffer.speech_stopped",
                "audio_end_ms": end_ms,
                "item_id": self._turn_item_id,
            }
        )
        self._take_turn(audio, self._turn_item_id)
        self._respond_unasked("turn")

    def _idle_timeout(self, since_ms: int) -> None:
        self._idle_at_ms = None
        item_id = self._new_id("item")
        idle_ms = self._turn_detection()["idle_timeout_ms"]
        self.emit(
            {
                "type": "input_audio_buffer.timeout_triggered",
                "audio_start_ms": since_ms - idle_ms,
                "audio_end_ms": self._input.clock_ms,
                "item_id": item_id,
            }
        )
        self._take_turn(bytes([MULAW_SILENCE]) * BYTES_PER_MS * idle_ms, item_id)
        self._respond_unasked("idle")

    def _take_turn(self, audio: bytes, item_id: str) -> None:
        self._turn_item_id = ""
        item = Item(
            {
                "id": item_id,
                "object": "realtime.item",
                "type": "message",
                "status": "completed",
                "role": "user",
                "content": [{"type": "input_audio", "transcript": None}],
            },
            audio=bytearray(audio),
        )
        previous = self.conversation.append(item)
        self.emit(
            {
                "type": "input_audio_buffer.committed",
                "item_id": item_id,
                "previous_item_id": previous,
            }
        )
        self._added(item, previous)
        self._listener.listen(item, 0, transcribe=self._transcribes())

    def _added(self, item: Item, previous: str | None) -> None:
        for kind in ("conversation.item.added", "conversation.item.done"):
            self.emit({"type": kind, "previous_item_id": previous, "item": item.shown()})

    def _listen_to_created(self, item: Item) -> None:
        """Audio that the client put into an item is heard like a turn."""
        for index, part in enumerate(item.content):
            if part["type"] == "input_audio":
                audio = decode_audio(part.pop("audio"), f"item.content[{index}].audio")
                audio_format = self.config["audio"]["input"]["format"]
                item.audio += InputDecoder().decode(audio, audio_format)
                self._listener.listen(item, index, transcribe=self._transcribes())

    # -- helpers

    def _respond_unasked(self, cause: Literal["turn", "idle"]) -> None:
        """The response that the VAD makes; one that is still running wins."""
        if self._turn_detection()["create_response"]:
            try:
                self._responder.create(cause, self.config, None)
            except ApiError as error:
                self._refuse(error, None)

    def _response_finished(self, speech_ms: int) -> None:
        detection = self.config["audio"]["input"]["turn_detection"]
        if detection is not None and detection["idle_timeout_ms"] and not self._input.speaking:
            self._idle_at_ms = self._input.clock_ms + speech_ms + detection["idle_timeout_ms"]

    def _turn_detection(self) -> JsonObject:
        return self.config["audio"]["input"]["turn_detection"]

    def _transcribes(self) -> bool:
        return self.config["audio"]["input"]["transcription"] is not None

    def _refuse(self, error: ApiError, event_id: str | None) -> None:
        self.emit({"type": "error", "error": error.body(event_id)})

    def _new_id(self, kind: str) -> str:
        return f"{kind}_{self.id.removeprefix('sess_')}{next(self._numbers):05d}"
