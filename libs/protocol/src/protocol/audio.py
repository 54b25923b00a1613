"""Facts about the audio of a call: mu-law, 8 kHz, mono, one byte a sample. Audio itself is raw
bytes.
"""

BYTES_PER_MS = 8
"""mu-law at 8 kHz: 8 bytes are 1 ms (Twilio Media Streams; OpenAI ``audio/pcmu``)."""
FRAME_MS = 20
"""A Twilio media message usually carries 20 ms; the size is not contractual, so count bytes."""
FRAME_BYTES = FRAME_MS * BYTES_PER_MS
SILENCE = b"\xff"
"""One sample of mu-law silence."""


def duration_ms(audio: bytes) -> int:
    """Whole milliseconds of mu-law audio in ``audio``."""
    return len(audio) // BYTES_PER_MS
