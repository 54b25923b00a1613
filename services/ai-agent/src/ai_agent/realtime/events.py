"""Server events of the Realtime API that we read, with the fields that we use; all others are
ignored.

Names and fields: OpenAI Realtime GA reference. Audio deltas are decoded from base64 to bytes by
msgspec.
"""

from typing import Any

import msgspec
from msgspec import Struct

from protocol import codec
from protocol.errors import DecodeError


class Session(Struct, frozen=True):
    """The effective session. ``audio`` is kept as JSON values, to compare the formats."""

    id: str = ""
    model: str = ""
    expires_at: int | None = None
    audio: dict[str, Any] = {}


class Item(Struct, frozen=True):
    """A conversation item. ``call_id`` is OpenAI's name for a tool_call_id."""

    id: str = ""
    type: str = ""
    role: str = ""
    status: str = ""
    name: str = ""
    call_id: str = ""
    arguments: str = ""


class Part(Struct, frozen=True):
    type: str = ""


class ErrorBody(Struct, frozen=True):
    """``message`` may repeat what we sent; it is never logged."""

    type: str = ""
    code: str | None = None
    message: str | None = None
    param: str | None = None
    event_id: str | None = None


class CachedDetails(Struct, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0


class InputDetails(Struct, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0
    cached_tokens_details: CachedDetails | None = None


class OutputDetails(Struct, frozen=True):
    text_tokens: int = 0
    audio_tokens: int = 0


class Usage(Struct, frozen=True):
    """Of a response, or of a transcription (by tokens or by ``seconds``)."""

    input_token_details: InputDetails | None = None
    output_token_details: OutputDetails | None = None
    output_tokens: int = 0
    seconds: float = 0.0


class StatusDetails(Struct, frozen=True):
    reason: str | None = None
    error: ErrorBody | None = None


class Response(Struct, frozen=True):
    id: str
    status: str = ""
    status_details: StatusDetails | None = None
    output: tuple[Item, ...] = ()
    usage: Usage | None = None
    metadata: dict[str, str] | None = None


class ServerEvent(Struct, frozen=True, tag_field="type"):
    """Root of the union."""


class SessionCreated(ServerEvent, frozen=True, tag="session.created"):
    session: Session


class SessionUpdated(ServerEvent, frozen=True, tag="session.updated"):
    session: Session


class ErrorReported(ServerEvent, frozen=True, tag="error"):
    error: ErrorBody


class ItemAdded(ServerEvent, frozen=True, tag="conversation.item.added"):
    item: Item
    previous_item_id: str | None = None


class TranscriptionCompleted(
    ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.completed"
):
    item_id: str
    transcript: str
    usage: Usage | None = None


class TranscriptionDelta(
    ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.delta"
):
    item_id: str
    delta: str = ""


class TranscriptionFailed(
    ServerEvent, frozen=True, tag="conversation.item.input_audio_transcription.failed"
):
    item_id: str


class SpeechStarted(ServerEvent, frozen=True, tag="input_audio_buffer.speech_started"):
    audio_start_ms: int
    item_id: str


class SpeechStopped(ServerEvent, frozen=True, tag="input_audio_buffer.speech_stopped"):
    audio_end_ms: int
    item_id: str


class Committed(ServerEvent, frozen=True, tag="input_audio_buffer.committed"):
    item_id: str
    previous_item_id: str | None = None


class ResponseCreated(ServerEvent, frozen=True, tag="response.created"):
    response: Response


class ResponseDone(ServerEvent, frozen=True, tag="response.done"):
    response: Response


class OutputItemAdded(ServerEvent, frozen=True, tag="response.output_item.added"):
    response_id: str
    item: Item


class OutputItemDone(ServerEvent, frozen=True, tag="response.output_item.done"):
    response_id: str
    item: Item


class ContentPartAdded(ServerEvent, frozen=True, tag="response.content_part.added"):
    response_id: str
    item_id: str
    part: Part
    content_index: int = 0


class AudioDelta(ServerEvent, frozen=True, tag="response.output_audio.delta"):
    response_id: str
    item_id: str
    delta: bytes
    content_index: int = 0


class AudioDone(ServerEvent, frozen=True, tag="response.output_audio.done"):
    response_id: str
    item_id: str


class TranscriptDelta(ServerEvent, frozen=True, tag="response.output_audio_transcript.delta"):
    response_id: str
    item_id: str
    delta: str


class TranscriptDone(ServerEvent, frozen=True, tag="response.output_audio_transcript.done"):
    response_id: str
    item_id: str
    transcript: str


AnyServerEvent = (
    SessionCreated
    | SessionUpdated
    | ErrorReported
    | ItemAdded
    | TranscriptionDelta
    | TranscriptionCompleted
    | TranscriptionFailed
    | SpeechStarted
    | SpeechStopped
    | Committed
    | ResponseCreated
    | ResponseDone
    | OutputItemAdded
    | OutputItemDone
    | ContentPartAdded
    | AudioDelta
    | AudioDone
    | TranscriptDelta
    | TranscriptDone
)


class _Head(Struct, frozen=True):
    type: str = ""


_decoder = msgspec.json.Decoder(AnyServerEvent)
_head = msgspec.json.Decoder(_Head)
KNOWN = frozenset(str(kind.__struct_config__.tag) for kind in AnyServerEvent.__args__)


def decode(data: bytes) -> AnyServerEvent | str:
    """One server event; for a type that we do not read, its name. Raises DecodeError for a broken
    one.
    """
    try:
        return _decoder.decode(data)
    except codec.UNREADABLE:
        try:
            kind = _head.decode(data).type
        except codec.UNREADABLE:
            raise DecodeError("not a JSON object with a type") from None
        if kind not in KNOWN:
            return kind
        raise DecodeError(f"a {kind} event without the fields we need") from None
