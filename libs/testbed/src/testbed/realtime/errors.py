"""What the Realtime API answers to a bad client event: one exception, one constructor a code.

Raised by the validators and the conversation, turned into an `error` event by the session.
Codes and texts: OpenAI Realtime reference, error events (GA).
"""

from __future__ import annotations

from typing import Any


class ApiError(Exception):
    """A refused client event. The socket stays open; the client gets an `error` event."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        param: str | None = None,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind

    def body(self, event_id: str | None) -> dict[str, Any]:
        """The `error` object of the event; `event_id` is that of the refused client event."""
        return {
            "type": self.kind,
            "code": self.code,
            "message": self.message,
            "param": self.param,
            "event_id": event_id,
        }


def missing(param: str) -> ApiError:
    """A required field is absent."""
    return ApiError(
        "missing_required_parameter", f"Missing required parameter: '{param}'.", param=param
    )


def unknown(param: str) -> ApiError:
    """A field that the API does not know here."""
    return ApiError("unknown_parameter", f"Unknown parameter: '{param}'.", param=param)


def wrong_type(param: str, expected: str, value: object) -> ApiError:
    """A field of the wrong JSON type."""
    return ApiError(
        "invalid_type",
        f"Invalid type for '{param}': expected {expected}, but got {type(value).__name__} instead.",
        param=param,
    )


def invalid(param: str, message: str) -> ApiError:
    """A field whose value is not allowed."""
    return ApiError("invalid_value", message, param=param)


def active_response(response_id: str) -> ApiError:
    """response.create while a response of the default conversation runs."""
    return ApiError(
        "conversation_already_has_active_response",
        f"Conversation already has an active response in progress: {response_id}. "
        "Wait until the response is finished before creating a new one.",
    )


def nothing_to_cancel() -> ApiError:
    """response.cancel with no response running."""
    return ApiError("response_cancel_not_active", "Cancellation failed: no active response found.")


def commit_empty(buffered_ms: float) -> ApiError:
    """input_audio_buffer.commit with less than 100 ms in the buffer."""
    return ApiError(
        "input_audio_buffer_commit_empty",
        "Error committing input audio buffer: buffer too small. Expected at least 100ms of audio, "
        f"but buffer only has {buffered_ms:.2f}ms of audio.",
    )


def unknown_item(action: str, item_id: str) -> ApiError:
    """delete, retrieve or truncate of an item that is not in the conversation."""
    return ApiError(
        f"item_{action}_invalid_item_id",
        f"Error {action[:-1]}ing item: the item with id '{item_id}' does not exist.",
        param="item_id",
    )


def session_expired(minutes: int) -> ApiError:
    """The end of the session's life time; close code 1001 follows."""
    return ApiError(
        "session_expired", f"Your session hit the maximum duration of {minutes} minutes."
    )
