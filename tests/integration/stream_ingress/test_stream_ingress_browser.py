"""Lines from browsers: let in by the desk's origin and a token of their own, then like any other;
and legs that are closed when webhooks asks for it.
"""

import json
import secrets
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from protocol import events as e
from testbed.twilio.signature import sign_get

DESK = "https://desk.example.com"
PATH = "/browser/media"
NO_ACCOUNT = "AC" + "0" * 32
URL = "wss://voice.example.com"
AUTH_TOKEN = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def world(start_world: Any) -> Any:
    """An ingress that lets browsers in, with a slash too many in its setting."""
    return await start_world(BROWSER_PHONE="1", DASHBOARD_URL=f"{DESK}/")


async def socket(world: Any, *origins: str, path: str = PATH, **headers: str) -> Any:
    sent = [*(("Origin", origin) for origin in origins), *headers.items()]
    return await connect(
        f"ws://127.0.0.1:{world.settings.ingress_port}{path}",
        additional_headers=sent,
        compression=None,
    )


async def dial(world: Any, call: str | None = None) -> Any:
    """A browser's socket as the world's phones are, before its ``start``."""
    phone = await world.dial(call)
    await phone.leave()
    phone = type(phone)(await socket(world, DESK), phone.call, "MZ" + secrets.token_hex(16))
    world.phones.append(phone)
    return phone


def token(world: Any, call: str, **more: Any) -> str:
    return world.token(call, channel="browser", operator="mira", **more)


@pytest.mark.parametrize(
    "origins",
    [
        (),
        ("",),
        ("null",),
        ("https://evil.example.com",),
        ("http://desk.example.com",),
        ("https://desk.example.com:8443",),
        ("https://desk.example.com.evil.example.com",),
        (DESK, "https://evil.example.com"),
        (DESK, DESK),
    ],
)
async def test_a_page_of_another_site_gets_no_line(world: Any, origins: tuple[str, ...]) -> None:
    with pytest.raises(InvalidStatus) as refused:
        await socket(world, *origins)
    assert refused.value.response.status_code == 403


async def test_a_signature_is_no_origin_and_an_origin_no_signature(world: Any) -> None:
    signature = sign_get(URL + PATH, AUTH_TOKEN)
    with pytest.raises(InvalidStatus) as refused:
        await socket(world, **{"x-twilio-signature": signature})
    assert refused.value.response.status_code == 403
    with pytest.raises(InvalidStatus) as refused:
        await socket(world, DESK, path="/twilio/media")
    assert refused.value.response.status_code == 403


async def test_no_browser_comes_in_unless_switched_on(start_world: Any) -> None:
    world = await start_world(DASHBOARD_URL=DESK)
    with pytest.raises(InvalidStatus) as refused:
        await socket(world, DESK)
    assert refused.value.response.status_code == 404


async def test_a_browser_line_is_a_line(world: Any) -> None:
    agent = await world.agent()
    phone = await dial(world)
    await phone.start(token(world, phone.call), accountSid=NO_ACCOUNT)
    (started,) = await world.logged(phone.call, e.StreamStarted)
    assert (started.channel, started.ingress) == ("browser", world.settings.ingress_name)
    await phone.talk_until(lambda: agent.audio, "the agent hears the browser")
    await agent.out("item", item_id="greeting")
    await agent.speak(b"\x10" * 1600)
    await agent.out("done", item_id="greeting")
    await phone.talk_until(
        lambda: [x for x in agent.of("heard") if x["done"]], "the browser has heard the item"
    )
    assert phone.ear.audio() == b"\x10" * 1600
    await phone.press("5")
    await phone.talk_until(lambda: agent.of("dtmf"), "keys come through")
    await phone.hang_up()
    (ended,) = await world.logged(phone.call, e.CallEnded)
    assert ended.reason == "caller_hung_up"


async def test_a_browsers_token_works_once(world: Any) -> None:
    phone = await dial(world)
    text = token(world, phone.call)
    await phone.start(text, accountSid=NO_ACCOUNT)
    await world.logged(phone.call, e.StreamStarted)
    again = await dial(world, phone.call)
    await again.start(text, accountSid=NO_ACCOUNT)
    assert await again.closed() == (1008, "used token")
    assert len(await world.logged(phone.call, e.StreamStarted)) == 1


async def test_each_channel_has_tokens_of_its_own(world: Any) -> None:
    browser = await dial(world)
    await browser.start(world.token(browser.call), accountSid=NO_ACCOUNT)
    assert await browser.closed() == (1008, "token of another channel")
    phone = await world.dial()
    await phone.start(token(world, phone.call))
    assert await phone.closed() == (1008, "token of another channel")
    claims = await dial(world)  # who one is stands in the token, not in what one says
    await claims.start(token(world, claims.call), callSid=phone.call, accountSid=NO_ACCOUNT)
    assert await claims.closed() == (1008, "token of another call")
    for call in (browser.call, phone.call, claims.call):
        assert await world.log(call) == []


async def test_a_browser_speaks_for_no_account(world: Any) -> None:
    phone = await dial(world)
    await phone.start(token(world, phone.call))
    assert await phone.closed() == (1008, "foreign account")


async def asked_to_close(world: Any, call: str, leg: int, intent: str) -> dict[str, Any]:
    reply = await world.client.request(
        f"ingress.{world.settings.ingress_name}.close",
        json.dumps({"call": call, "leg": leg, "intent": intent}).encode(),
        timeout=5,
    )
    return json.loads(reply.data)


@pytest.mark.parametrize("intent", ["hangup", "transfer", "busy"])
async def test_a_leg_is_closed_at_once_when_it_is_asked_for(world: Any, intent: str) -> None:
    phone, agent = await world.placed()
    await agent.out("item", item_id="long")
    await agent.speak(b"\x10" * 8000 * 60)
    await phone.talk_until(lambda: phone.playout.buffered_ms > 1000, "a long speech is on")
    reply = await asked_to_close(world, phone.call, agent.leg, intent)
    assert reply == {"type": "closing", "leg": agent.leg}
    assert await phone.talk_until_closed() == (1000, intent)
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert (closing.intent, closing.leg) == (intent, agent.leg)
    assert closing.line_ms < 30_000, "it did not wait for the end of the speech"


async def test_a_leg_that_is_asked_to_hand_off_waits_for_a_quiet_moment(world: Any) -> None:
    phone, agent = await world.placed()
    assert (await asked_to_close(world, phone.call, agent.leg, "handoff"))["type"] == "closing"
    assert await phone.talk_until_closed(b"\xff" * 160) == (1000, "handoff")
    (closing,) = await world.logged(phone.call, e.StreamClosing)
    assert closing.intent == "handoff"


async def test_other_legs_are_left_alone(world: Any) -> None:
    phone, agent = await world.placed()
    for call, leg in ((phone.call, agent.leg + 1), (world.new_call(), agent.leg)):
        reply = await asked_to_close(world, call, leg, "hangup")
        assert reply == {"type": "no_such_leg", "leg": leg}
    count = len(agent.audio)
    await phone.talk_until(lambda: len(agent.audio) > count, "the call goes on")
    kinds = {type(entry.event) for entry in await world.log(phone.call)}
    assert e.StreamStarted in kinds
    assert e.StreamClosing not in kinds
