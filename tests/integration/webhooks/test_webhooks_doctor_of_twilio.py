"""The doctor's look at the account, the number, the clock and the public addresses."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from runtime import bus
from runtime.service import Shutdown
from runtime.settings import CommonSettings, load
from testbed.ports import free_port
from testbed.twilio import SimulatedTwilio, TwilioAccount, serve_rest
from webhooks import doctor, doctor_public, doctor_twilio
from webhooks.settings import Settings

ACCOUNT, TOKEN, NUMBER = "AC" + "a" * 32, "0123456789abcdef" * 2, "+15550100002"
PUBLIC = "https://voice.example.com"
STANDS = {
    "voice_url": f"{PUBLIC}/twilio/voice",
    "voice_method": "POST",
    "voice_fallback_url": f"{PUBLIC}/twilio/fallback.xml",
    "voice_fallback_method": "GET",
    "status_callback": f"{PUBLIC}/twilio/status#rc=5&rp=5xx",
    "status_callback_method": "POST",
}

# twilio 9.13 still signs in with aiohttp's deprecated BasicAuth and `auth` argument
pytestmark = [
    pytest.mark.filterwarnings("ignore:BasicAuth is deprecated:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:The 'auth' parameter is deprecated:DeprecationWarning"),
]


def settings(api: str, **environ: str) -> Settings:
    return load(
        Settings,
        {
            "PUBLIC_URL": PUBLIC,
            "TWILIO_ACCOUNT_SID": ACCOUNT,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "TWILIO_PHONE_NUMBER": NUMBER,
            "TWILIO_API_URL": api,
            "STREAM_TOKEN_SECRET": "a-secret-of-stream-tokens",
        }
        | environ,
    )


@pytest.fixture
async def twilio() -> AsyncIterator[Any]:
    account = TwilioAccount(ACCOUNT, TOKEN, NUMBER, f"{PUBLIC}/twilio/voice")
    async with SimulatedTwilio(account) as twilio, serve_rest(twilio) as url:
        yield twilio, url


async def test_an_account_whose_number_leads_here(twilio: Any) -> None:
    simulated, url = twilio
    simulated.numbers.owned[NUMBER] = STANDS
    findings = await doctor_twilio.account(settings(url))
    assert [finding.verdict for finding in findings] == ["ok", "ok", "ok"]
    assert TOKEN not in "".join(finding.says + finding.remedy for finding in findings)
    assert simulated.numbers.updates == 0, "it only looks"
    elsewhere = "https://static.example.com/sorry.xml"
    simulated.numbers.owned[NUMBER] = STANDS | {"voice_fallback_url": elsewhere}
    findings = await doctor_twilio.account(settings(url))
    assert [finding.verdict for finding in findings] == ["ok", "ok", "ok"]


async def test_a_number_that_leads_elsewhere(twilio: Any) -> None:
    simulated, url = twilio
    simulated.numbers.owned[NUMBER] = STANDS | {"voice_url": "https://old.example.com/voice"}
    (*_, found) = await doctor_twilio.account(settings(url))
    assert found.verdict == "wrong"
    assert "voice_url of the number is https://old.example.com/voice" in found.says
    assert "setup_number" in found.remedy
    simulated.numbers.owned[NUMBER] = STANDS | {"voice_fallback_url": "", "status_callback": ""}
    findings = await doctor_twilio.account(settings(url))
    wrong = [finding.says for finding in findings if finding.verdict == "wrong"]
    assert len(wrong) == 2
    assert "voice_fallback_url of the number is not set" in wrong[0]


@pytest.mark.parametrize(
    ("environ", "says"),
    [
        ({"TWILIO_AUTH_TOKEN": "f" * 32}, "Twilio refuses TWILIO_ACCOUNT_SID with"),
        ({"TWILIO_PHONE_NUMBER": "+15550100999"}, "The account has no number +15550100999"),
    ],
)
async def test_what_the_account_does_not_know(
    twilio: Any, environ: dict[str, str], says: str
) -> None:
    _, url = twilio
    (*_, found) = await doctor_twilio.account(settings(url, **environ))
    assert found.verdict == "wrong"
    assert says in found.says
    assert found.remedy


async def test_twilio_that_does_not_answer(twilio: Any) -> None:
    simulated, url = twilio
    simulated.rest_faults.refuse_status = 503
    for api in (url, f"http://127.0.0.1:{free_port()}"):
        (found,) = await doctor_twilio.account(settings(api))
        assert found.says == "Twilio's REST API does not answer."


async def test_the_clock_is_that_of_twilios_answers(twilio: Any) -> None:
    _, url = twilio
    (found,) = await doctor_twilio.clock(settings(url))
    assert found.verdict == "ok"
    assert url in found.says


async def test_a_clock_that_is_wrong_and_one_that_nobody_tells() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        date = b"Date: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n" + date)
        writer.write(b"\r\n")
        await writer.drain()
        writer.close()

    nobody = {"PUBLIC_URL": f"http://127.0.0.1:{free_port()}"}
    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        api = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        (found,) = await doctor_twilio.clock(settings(api, **nobody))
    assert found.verdict == "wrong"
    assert "NTP" in found.remedy
    (found,) = await doctor_twilio.clock(settings(f"http://127.0.0.1:{free_port()}", **nobody))
    assert found.verdict == "note"


async def test_a_public_address_where_nobody_is() -> None:
    base = f"http://127.0.0.1:{free_port()}"
    here = settings("", PUBLIC_URL=base)
    (found,) = await doctor_public.webhooks(here)
    assert found.verdict == "wrong"
    assert "127.0.0.1 cannot be reached from here (PUBLIC_URL" in found.says
    (found,) = await doctor_public.media(here)
    assert "PUBLIC_STREAM_URL" in found.says


async def test_a_host_that_is_none() -> None:
    (found,) = await doctor_public.webhooks(settings("", PUBLIC_URL="https://no-such.invalid"))
    assert found.verdict == "wrong"
    assert "no-such.invalid" in found.says


async def test_a_silent_ingress_is_missed(nats_server: Any) -> None:
    common = CommonSettings(nats_url=nats_server.url)
    async with bus.connect(common, "webhooks/doctor", Shutdown()) as nats:
        (found,) = await doctor.ingresses(nats)
    assert found.says.startswith("No stream-ingress says that it is alive")
