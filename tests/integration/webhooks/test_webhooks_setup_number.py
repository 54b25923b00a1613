"""The command that points a number at this system, against the simulated REST API."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from testbed.twilio import SimulatedTwilio, TwilioAccount, serve_rest
from testbed.twilio.twiml import Hangup, Say, parse
from webhooks.twiml import SENTENCES

ACCOUNT, TOKEN, NUMBER = "AC" + "a" * 32, "t" * 32, "+15550100002"
PUBLIC = "https://voice.example.com"
STANDS = {
    "voice_url": f"{PUBLIC}/twilio/voice",
    "voice_method": "POST",
    "voice_fallback_url": f"{PUBLIC}/twilio/fallback.xml",
    "voice_fallback_method": "GET",
    "status_callback": f"{PUBLIC}/twilio/status#rc=5&rp=5xx",
    "status_callback_method": "POST",
}


@pytest.fixture
async def twilio() -> AsyncIterator[Any]:
    async with (
        SimulatedTwilio(TwilioAccount(ACCOUNT, TOKEN, NUMBER, f"{PUBLIC}/twilio/voice")) as twilio,
        serve_rest(twilio) as url,
    ):
        yield twilio, url


async def set_up(url: str, *arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command; exit code and what it said."""
    settings = {
        "PUBLIC_URL": PUBLIC,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "TWILIO_PHONE_NUMBER": NUMBER,
        "TWILIO_API_URL": url,
        "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
        "PATH": os.environ["PATH"],
    }
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "ignore", "-m", "webhooks.setup_number", *arguments),
        env=settings | environ,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_a_number_is_pointed_here_once_and_it_is_said_what_was_changed(twilio: Any) -> None:
    simulated, url = twilio
    code, said = await set_up(url, "--check")
    assert (code, simulated.numbers.updates) == (1, 0), said
    assert "nothing was changed" in said
    code, said = await set_up(url)
    assert code == 0, said
    assert f"voice_url: https://demo.twilio.com/welcome/voice/ -> {PUBLIC}/twilio/voice" in said
    assert "voice_fallback_url: (none) -> " in said
    assert simulated.numbers.owned[NUMBER] == STANDS
    code, said = await set_up(url)
    assert (code, simulated.numbers.updates) == (0, 1), "done again it changes nothing"
    assert "stands as it should" in said
    assert TOKEN not in said


async def test_a_fallback_elsewhere(twilio: Any) -> None:
    simulated, url = twilio
    code, said = await set_up(url, "--fallback", "https://static.example.com/sorry.xml")
    assert code == 0, said
    stands = simulated.numbers.owned[NUMBER]
    assert stands == STANDS | {"voice_fallback_url": "https://static.example.com/sorry.xml"}


@pytest.mark.parametrize(
    ("arguments", "environ", "code", "said"),
    [
        (["+15550100999"], {}, 1, "has no number +15550100999"),
        (["0800"], {}, 2, "which number?"),
        ([], {"TWILIO_PHONE_NUMBER": ""}, 2, "which number?"),
        ([], {"TWILIO_AUTH_TOKEN": "wrong"}, 1, "look at TWILIO_ACCOUNT_SID"),
        ([], {"PUBLIC_URL": ""}, 2, "PUBLIC_URL is not set"),
    ],
)
async def test_what_is_wrong_is_said_in_a_sentence(
    twilio: Any, arguments: list[str], environ: dict[str, str], code: int, said: str
) -> None:
    simulated, url = twilio
    got, lines = await set_up(url, *arguments, **environ)
    assert got == code, lines
    assert said in lines
    assert "Traceback" not in lines
    assert simulated.numbers.updates == 0


async def test_twilio_that_does_not_answer(twilio: Any) -> None:
    simulated, url = twilio
    simulated.rest_faults.refuse_status = 503
    code, said = await set_up(url)
    assert (code, "did not answer" in said) == (1, True), said


async def test_the_fallback_document_needs_no_signature(service: Any) -> None:
    answer = await service.http.get("/twilio/fallback.xml")
    assert answer.status_code == 200
    assert parse(answer.text, None) == [Say(SENTENCES["unavailable"]), Hangup()]
