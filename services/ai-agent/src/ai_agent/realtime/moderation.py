"""OpenAI's ``POST /v1/moderations`` through the SDK: is a sentence fit to be heard?

Called by the output watch, beside the audio path. Stands in this package because the SDK stays in
one room.
"""

import asyncio

import openai
from msgspec import Struct
from prometheus_client import Counter

from ai_agent.realtime.connection import Client
from protocol import codec
from protocol.errors import DecodeError
from runtime import logging

_log = logging.get("moderation")
_failed = Counter("trunkline_moderation_failed_total", "Sentences that could not be moderated")

DEADLINE_S = 1.5
"""Later than this the sentence has been heard."""


class _Result(Struct, frozen=True):
    flagged: bool
    categories: dict[str, bool | None]


class _Answer(Struct, frozen=True):
    results: tuple[_Result, ...]


async def flagged(client: Client, text: str, *, model: str) -> str | None:
    """What is wrong with ``text``, like ``moderation[harassment]``; None when nothing is.

    Asked once, for at most ``DEADLINE_S``. A failure is counted and counts as not flagged.
    """
    asked = client.with_options(max_retries=0, timeout=DEADLINE_S).moderations.with_raw_response
    try:
        async with asyncio.timeout(DEADLINE_S):
            reply = await asked.create(model=model, input=text)
        answer = codec.decode(_Answer, reply.content)
    except (TimeoutError, openai.OpenAIError, DecodeError) as error:
        _failed.inc()
        _log.warning("sentence not moderated", kind=type(error).__name__)
        return None
    for result in answer.results:
        if result.flagged:
            names = [name for name, hit in result.categories.items() if hit]
            return f"moderation[{names[0] if names else 'other'}]"
    return None
