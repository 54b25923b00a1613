"""One session of the bench's model: what it hears, when it answers, what it sends then."""

import asyncio
import base64
import json
import time
from typing import Any

import msgspec
from picows import WSFrame, WSListener, WSMsgType, WSTransport

from testbed.bench import stamp
from testbed.bench.ears import Ears
from testbed.bench.sockets import send

FRAME_BYTES = 160
TURN_S = 4.0
FIRST_TURN_S = 3.6
"""Behind the greeting, and then spread over the four seconds."""
SPEAKS_S = 0.5
"""The caller's speech before each answer."""
DELTAS = 15
DELTA_MS = 200
MULAW, PCM = 8, 48
"""Bytes a ms: the line's coding, and what a session speaks that asked for none."""
DELTA_EVERY_S = 0.1
SPEECH = DELTAS * DELTA_MS / 1000 / TURN_S
"""Seconds of speech a second."""
BARGE_AFTER_S = 1.0
WORDS = " here are eight words for one delta"
_USAGE = {
    "total_tokens": 120,
    "input_tokens": 60,
    "output_tokens": 60,
    "input_token_details": {"text_tokens": 20, "audio_tokens": 40, "cached_tokens": 0},
    "output_token_details": {"text_tokens": 20, "audio_tokens": 40},
}


class _Head(msgspec.Struct):
    """What is needed of a client event; `audio` only of appends."""

    type: str
    audio: bytes = b""
    event_id: str | None = None


_decode = msgspec.json.Decoder(_Head).decode
_encode = msgspec.json.Encoder().encode


class Session(WSListener):
    """One open session."""

    def __init__(self, ears: Ears, number: int) -> None:
        self._ears = ears
        self._number = number
        self._transport: WSTransport | None = None
        self._config: dict[str, Any] = {}
        self._counter = 0
        self._next_frame: int | None = None
        self._heard_bytes = 0
        self._bytes_a_ms = PCM
        self._delta = 0
        self._timer: asyncio.TimerHandle | None = None
        self._previous: str | None = None
        self._who = 0
        self._turns = 0
        self._asked_at = 0.0
        self._speaking: asyncio.TimerHandle | None = None

    def on_ws_connected(self, transport: WSTransport) -> None:
        self._transport = transport
        self._ears.open += 1
        self._ears.asked.append(time.monotonic())
        self._send(type="session.created", session=self._session())

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        self._transport = None
        self._ears.open -= 1
        if self._timer is not None:
            self._timer.cancel()

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        if frame.msg_type != WSMsgType.TEXT:
            return
        data = frame.get_payload_as_bytes()
        told = _decode(data)
        if told.type == "input_audio_buffer.append":
            self._append(told.audio)
        elif told.type == "session.update":
            self._config = {**self._config, **json.loads(data)["session"]}
            if b"audio/pcmu" in data:
                self._bytes_a_ms = MULAW
            self._send(type="session.updated", session=self._session())
            self._after(FIRST_TURN_S + self._number % 40 / 10, self._turn)
        elif told.type == "conversation.item.create":
            item = json.loads(data)["item"]
            self._returned(item)
            self._item(item.get("id") or self._id("item"), item)
        elif told.type == "response.create":
            if self._delta == 0:
                self._answer()
        elif told.type == "conversation.item.truncate":
            pass
        else:  # asks for items that are not there: a sign of life
            error = {"type": "invalid_request_error", "event_id": told.event_id}
            self._send(type="error", error={**error, "code": "item_not_found", "message": "none"})

    def _append(self, audio: bytes) -> None:
        ears = self._ears
        heard = ears.heard
        self._heard_bytes += len(audio)
        if ears.measuring:
            heard.audio_s += len(audio) / self._bytes_a_ms / 1000
        else:
            self._next_frame = None
        last: float | None = None
        for offset in range(0, len(audio), FRAME_BYTES):
            read = stamp.read(audio, offset)
            if read is None:
                continue
            sequence, late = read
            if ears.measuring:
                heard.frames += 1
                if self._next_frame is not None and sequence > self._next_frame:
                    heard.dropped += sequence - self._next_frame
                if last is None:
                    ears.waited_ms.append(late)
                last = late
            self._next_frame = sequence + 1
            self._who = sequence // stamp.WHO
        if last is not None:
            heard.appends += 1
            ears.last_frame_ms.append(last)

    def _turn(self) -> None:
        """The caller was heard to speak; an answer follows."""
        self._after(TURN_S, self._turn)
        if self._delta:
            return
        item = self._id("item")
        ms = self._heard_bytes // self._bytes_a_ms
        self._send(
            type="input_audio_buffer.speech_started", audio_start_ms=max(0, ms - 200), item_id=item
        )
        asyncio.get_running_loop().call_later(SPEAKS_S, self._stopped, item)

    def _stopped(self, item: str) -> None:
        ms = self._heard_bytes // self._bytes_a_ms
        self._send(type="input_audio_buffer.speech_stopped", audio_end_ms=ms, item_id=item)
        self._send(
            type="input_audio_buffer.committed", item_id=item, previous_item_id=self._previous
        )
        self._item(
            item,
            {
                "type": "message",
                "role": "user",
                "status": "completed",
                "content": [{"type": "input_audio", "transcript": None}],
            },
        )
        self._send(
            type="conversation.item.input_audio_transcription.completed",
            item_id=item,
            content_index=0,
            transcript="what do I have on my list today",
            usage={"type": "duration", "seconds": SPEAKS_S},
        )
        self._turns += 1
        if self._delta:
            return
        if self._acts and self._turns % 3 == 1:
            self._ask()
            return
        self._answer()
        if self._acts and self._turns % 3 == 2:
            asyncio.get_running_loop().call_later(BARGE_AFTER_S, self._barge)

    @property
    def _acts(self) -> bool:
        """Callers with even numbers are called tools for and speak over; a key is spoken over
        by itself.
        """
        return self._ears.acts and self._who % 2 == 0

    def _ask(self) -> None:
        """A function call in place of words."""
        self._begin()
        call = {
            "id": self._message,
            "type": "function_call",
            "status": "completed",
            "name": "get_tasks",
            "call_id": self._id("call"),
            "arguments": "{}",
        }
        self._of_response("output_item.added", item={**call, "status": "in_progress"})
        self._item(self._message, call)
        self._of_response("function_call_arguments.done", call_id=call["call_id"], arguments="{}")
        self._of_response("output_item.done", item=call)
        self._asked_at = time.monotonic()
        self._finish("completed", call)

    def _returned(self, item: dict[str, Any]) -> None:
        if item["type"] == "function_call_output" and self._ears.measuring:
            self._ears.heard.tool_ms.append((time.monotonic() - self._asked_at) * 1e3)

    def _barge(self) -> None:
        """The caller speaks over the answer, which ends it."""
        if self._delta == 0:
            return
        if self._speaking is not None:
            self._speaking.cancel()
        self._delta = 0
        item = self._id("item")
        if self._ears.measuring:
            self._ears.heard.barged.append((self._who, time.monotonic()))
        ms = max(0, self._heard_bytes // self._bytes_a_ms - 200)
        self._send(type="input_audio_buffer.speech_started", audio_start_ms=ms, item_id=item)
        cut = {"id": self._message, "type": "message", "role": "assistant"}
        self._finish("cancelled", {**cut, "status": "incomplete", "content": []})
        asyncio.get_running_loop().call_later(SPEAKS_S, self._stopped, item)

    def _begin(self) -> None:
        self._response, self._message = self._id("resp"), self._id("item")
        response = {"id": self._response, "object": "realtime.response", "status": "in_progress"}
        self._send(type="response.created", response={**response, "output": [], "usage": None})

    def _answer(self) -> None:
        self._begin()
        item: dict[str, Any] = {"type": "message", "role": "assistant", "status": "in_progress"}
        item["content"] = []
        self._of_response("output_item.added", item={"id": self._message, **item})
        self._item(self._message, item)
        self._of_response("content_part.added", part={"type": "audio", "transcript": ""})
        self._delta = 1
        self._speak()

    def _speak(self) -> None:
        if self._delta > DELTAS:
            self._done()
            return
        self._of_response("output_audio_transcript.delta", delta=WORDS)
        block = stamp.block(self._delta, DELTA_MS * self._bytes_a_ms)
        audio = base64.b64encode(block).decode()
        self._of_response("output_audio.delta", delta=audio)
        self._delta += 1
        loop = asyncio.get_running_loop()
        self._speaking = loop.call_later(DELTA_EVERY_S, self._speak)

    def _done(self) -> None:
        self._delta = 0
        words = WORDS * DELTAS
        self._of_response("output_audio.done")
        self._of_response("output_audio_transcript.done", transcript=words)
        item = {
            "id": self._message,
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_audio", "transcript": words}],
        }
        self._of_response("output_item.done", item=item)
        self._finish("completed", item)

    def _finish(self, status: str, item: dict[str, Any]) -> None:
        response = {"id": self._response, "object": "realtime.response", "status": status}
        self._send(type="response.done", response={**response, "output": [item], "usage": _USAGE})

    def _item(self, item_id: str, item: dict[str, Any]) -> None:
        self._send(
            type="conversation.item.added",
            previous_item_id=self._previous,
            item={"object": "realtime.item", **item, "id": item_id},
        )
        self._previous = item_id

    def _of_response(self, kind: str, **fields: Any) -> None:
        self._send(
            type=f"response.{kind}",
            response_id=self._response,
            item_id=self._message,
            output_index=0,
            content_index=0,
            **fields,
        )

    def _session(self) -> dict[str, Any]:
        return {
            **self._config,
            "id": f"sess_{self._number}",
            "object": "realtime.session",
            "expires_at": int(time.time()) + 3_600,
        }

    def _after(self, seconds: float, act: Any) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_later(seconds, act)

    def _id(self, kind: str) -> str:
        self._counter += 1
        return f"{kind}_{self._number:05}{self._counter:07}"

    def _send(self, **event: Any) -> None:
        if self._transport is not None:
            event["event_id"] = self._id("event")
            send(self._transport, _encode(event))
