"""The TwiML documents that webhooks answers with, and every sentence that Twilio speaks for us.

Pure builders over Twilio's SDK, called by the handlers.
"""

from typing import Any

from twilio.twiml.voice_response import VoiceResponse

from protocol import stream_token
from runtime.assistant import Transfer
from webhooks.decision import Apology

SENTENCES: dict[Apology, str] = {
    "unavailable": "We are sorry, we cannot take your call at the moment. "
    "Please try again later. Goodbye.",
    "busy": "We are sorry, everybody is busy at the moment. Please call again later. Goodbye.",
    "lost": "We are sorry, the connection was lost and could not be restored. "
    "Please call again. Goodbye.",
    "no_transfer": Transfer().nobody,
    "refused": "We are sorry, we cannot take your call. Goodbye.",
}
ONE_MOMENT = "One moment, please."
WAIT_S = 2
"""Seconds of silence before Twilio asks again."""


def connect(*, action: str, stream_url: str, status_callback: str, token: str) -> str:
    """Connect the call with the media socket at ``stream_url``; ``action`` is asked when it ends.

    The apology behind it is a net: with an action Twilio goes there, not to the next verb. The
    URL has no query string, which Twilio does not support on streams (error 31920).
    """
    response: Any = VoiceResponse()
    stream = response.connect(action=action, method="POST").stream(
        url=stream_url, status_callback=status_callback
    )
    stream.parameter(name=stream_token.PARAMETER, value=token)
    response.say(SENTENCES["unavailable"])
    response.hangup()
    return str(response)


def apologise(apology: Apology) -> str:
    """Say the apology and end the call."""
    return say_goodbye(SENTENCES[apology])


def say_goodbye(sentence: str) -> str:
    """Say a sentence (nothing, when it is empty) and end the call."""
    response: Any = VoiceResponse()
    if sentence:
        response.say(sentence)
    response.hangup()
    return str(response)


def say(sentence: str) -> str:
    """Say a sentence (nothing, when it is empty) and go on."""
    response: Any = VoiceResponse()
    if sentence:
        response.say(sentence)
    return str(response)


def dial(
    *, number: str, action: str, ring_s: int, limit_s: int, caller_id: str, whisper: str
) -> str:
    """Connect the call with ``number``; ``action`` is asked when that ended, however it did.

    The caller hears it ring. ``limit_s`` bounds the talk, ``caller_id`` is what the other sees
    (empty: Twilio's choice), ``whisper`` is asked for what they hear before they are joined.
    """
    response: Any = VoiceResponse()
    optional = {"caller_id": caller_id} if caller_id else {}
    dialled = response.dial(
        action=action,
        method="POST",
        timeout=ring_s,
        time_limit=limit_s,
        answer_on_bridge=True,
        **optional,
    )
    dialled.number(number, **({"url": whisper, "method": "POST"} if whisper else {}))
    return str(response)


def hang_up() -> str:
    """End the call without a word."""
    response: Any = VoiceResponse()
    response.hangup()
    return str(response)


def wait(url: str) -> str:
    """Keep the caller for a second without a word, then ask ``url`` what to do."""
    response: Any = VoiceResponse()
    response.pause(length=1)
    response.redirect(url, method="POST")
    return str(response)


def ask_again(url: str) -> str:
    """Keep the caller for a moment, then ask ``url`` what to do."""
    response: Any = VoiceResponse()
    response.say(ONE_MOMENT)
    response.pause(length=WAIT_S)
    response.redirect(url, method="POST")
    return str(response)
