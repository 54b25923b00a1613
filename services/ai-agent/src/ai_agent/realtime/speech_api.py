"""OpenAI's ``POST /v1/audio/speech`` through the SDK, streamed. Called by the speaker's provider.

Stands in this package because the SDK stays in one room. Response format ``pcm``: 24 kHz, mono,
signed 16-bit little-endian, no header (OpenAI speech reference).
"""

import contextlib
from collections.abc import AsyncGenerator

import openai

from ai_agent.realtime.connection import Client, SessionFailed

RATE = 24_000
PIECE_BYTES = 2_400
"""50 ms: a piece is filtered in one go, and that must not hold up the loop."""
NOWHERE = "http://127.0.0.1:9/v1"
MAX_CHARACTERS = 4_096
_PERMANENT = (
    openai.AuthenticationError,
    openai.PermissionDeniedError,
    openai.NotFoundError,
)


async def load(client: Client) -> None:
    """Have the SDK and its transport import what they import with their first request: 100 ms and
    more that would be missing in the audio of every call of the process.

    The request goes to a port of this machine where nothing listens, without the key.
    """
    idle = client.with_options(api_key="none", base_url=NOWHERE, max_retries=0, timeout=1)
    with contextlib.suppress(openai.OpenAIError):
        async with idle.audio.speech.with_streaming_response.create(
            model="none", voice="none", input="none"
        ):
            pass


async def speech(
    client: Client, text: str, *, model: str, voice: str, timeout: float
) -> AsyncGenerator[bytes]:
    """PCM of ``text`` as it comes; a piece may end in the middle of a sample.

    ``timeout``: seconds that the connection and each read may take. Raises SessionFailed.
    """
    if len(text) > MAX_CHARACTERS:
        raise SessionFailed("text too long", permanent=False)
    try:
        async with client.with_options(
            max_retries=0, timeout=timeout
        ).audio.speech.with_streaming_response.create(
            model=model, voice=voice, input=text, response_format="pcm"
        ) as response:
            async for piece in response.iter_bytes(PIECE_BYTES):
                yield piece
    except openai.APIStatusError as error:
        quota = error.code in ("insufficient_quota", "credit_balance_exhausted")
        raise SessionFailed(
            f"refused with HTTP {error.status_code}",
            permanent=quota or isinstance(error, _PERMANENT),
        ) from None
    except openai.OpenAIError as error:
        raise SessionFailed(f"cannot ask ({type(error).__name__})", permanent=False) from None
    except Exception as error:
        # The SDK gives errors in the middle of a stream as its transport raises them, and which
        # library that is depends on its version.
        raise SessionFailed(f"broke off ({type(error).__name__})", permanent=False) from None
