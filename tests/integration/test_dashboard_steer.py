"""Steering a call from the desk: forms, roles, what is written before it is done, refusals in
words, and what still works without a worker.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator

import asyncpg
import pytest
from desk_login import desk_database
from desk_steer import NUMBER, SteeredCall, Webhooks, World, world

from protocol import commands
from protocol import events as e
from protocol.calls import CallRefused, HangUpCall, TransferCall
from protocol.commands import ChangeMode, GiveBack, HangUp, Refused, Say, Transfer, Whisper
from testbed.infra import GivenPostgres
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres

HTMX = {"hx-request": "true"}


@pytest.fixture(scope="session")
async def dsn(postgres_server: Postgres | GivenPostgres) -> str:
    return await desk_database(
        await postgres_server.create_database(f"steer_{secrets.token_hex(6)}")
    )


@pytest.fixture
async def desk(nats_server: NatsServer, dsn: str) -> AsyncIterator[World]:
    async with world(nats_server.url, dsn) as one:
        yield one


def acting(call: SteeredCall) -> str:
    return f"/calls/{call.id}/act"


async def test_each_form_is_a_command_and_stands_in_the_log_and_the_trail(desk: World) -> None:
    call = await desk.call()
    forms = [
        ({"act": "whisper", "text": "they are upset"}, Whisper("mira", "they are upset")),
        ({"act": "say", "text": "One moment, please."}, Say("mira", "One moment, please.")),
        ({"act": "change_mode", "mode": "keypad"}, ChangeMode("mira", "keypad")),
        ({"act": "transfer", "to": "+12125550100"}, Transfer("mira", "+12125550100")),
        ({"act": "hang_up", "when": "now"}, HangUp("mira", now=True)),
    ]
    async with call.obey():
        for form, _ in forms:
            answer = await desk.http.post(acting(call), data=form, headers=HTMX)
            assert answer.status_code == 200, answer.text
            assert 'class="said said--done"' in answer.text
    assert call.obeyed == [command for _, command in forms]
    acts = await call.acts()
    assert [(who, act) for who, act, _ in acts] == [("mira", str(form["act"])) for form, _ in forms]
    assert "upset" not in str(acts), "what was whispered is not repeated in the act"
    assert "+12125550100" not in str(acts)
    connection = await asyncpg.connect(desk.dsn)
    try:
        rows = await connection.fetch(
            "SELECT act, operator FROM audit WHERE call_id = $1 ORDER BY id", call.id
        )
    finally:
        await connection.close()
    assert [tuple(row) for row in rows] == [(form["act"], "mira") for form, _ in forms]


async def test_the_act_is_in_the_log_before_the_worker_hears_of_it(desk: World) -> None:
    call = await desk.call()
    written: list[bool] = []
    seen = asyncio.Event()

    async with call.obey(lambda _: None):
        asking = asyncio.ensure_future(
            desk.http.post(acting(call), data={"act": "say", "text": "x"})
        )
        async with asyncio.timeout(20):
            while not call.obeyed:
                await asyncio.sleep(0.005)
        written.append(bool(await call.acts()))
        seen.set()
        answer = await asking
    assert written == [True]
    assert answer.status_code == 422
    assert "No worker holds this call" in answer.text


async def test_viewers_are_refused_and_see_no_panel(desk: World) -> None:
    call = await desk.call()
    async with call.obey(), desk.browser("vera", "viewer") as vera:
        page = await vera.get(f"/calls/{call.id}")
        assert "Hang up" not in page.text
        answer = await vera.post(acting(call), data={"act": "hang_up"})
        assert answer.status_code == 403
        assert (await vera.get(f"/calls/{call.id}/sound.wav")).status_code == 403
    assert call.obeyed == []
    assert await call.acts() == []


async def test_another_site_changes_nothing(desk: World) -> None:
    call = await desk.call()
    async with call.obey():
        answer = await desk.http.post(
            acting(call), data={"act": "hang_up"}, headers={"sec-fetch-site": "cross-site"}
        )
    assert answer.status_code == 403
    assert call.obeyed == []


async def test_a_workers_refusal_is_shown_in_its_words(desk: World) -> None:
    call = await desk.call()
    refusal = Refused("not_now", "this call is ending")
    async with call.obey(lambda _: refusal):
        answer = await desk.http.post(
            acting(call), data={"act": "whisper", "text": "x"}, headers=HTMX
        )
    assert answer.status_code == 422
    assert "This call is ending." in answer.text
    assert 'class="said said--not"' in answer.text


@pytest.mark.parametrize("silent", [False, True], ids=["nobody listens", "no answer"])
async def test_without_a_worker_webhooks_hangs_up_and_transfers(
    desk: World, monkeypatch: pytest.MonkeyPatch, silent: bool
) -> None:
    monkeypatch.setattr("dashboard.steer.steering.ANSWER_S", 0.2)
    monkeypatch.setattr("dashboard.steer.steering.DIALS_S", 0.2)
    call, webhooks = await desk.call(), Webhooks()
    async with webhooks.serving(desk.bus):
        for form in ({"act": "transfer", "to": "+1 212 555 0100"}, {"act": "hang_up"}):
            if silent:
                async with call.obey(lambda _: None):
                    answer = await desk.http.post(acting(call), data=form)
            else:
                answer = await desk.http.post(acting(call), data=form)
            assert answer.status_code == 200, answer.text
            assert "No worker answered; webhooks" in answer.text
        webhooks.refusal = CallRefused("not_in_progress", "This call is over.")
        late = await desk.http.post(acting(call), data={"act": "hang_up"})
        assert late.status_code == 422
        assert "This call is over." in late.text
    assert webhooks.asked[:2] == [
        TransferCall(call.id, "+12125550100"),
        HangUpCall(call.id, "operator"),
    ]


async def test_a_ringing_call_is_hung_up_by_webhooks_and_nothing_else_is_offered(
    desk: World,
) -> None:
    call, webhooks = SteeredCall(desk.bus), Webhooks()
    await call.ring()
    await desk.shown(call, "ringing")
    async with webhooks.serving(desk.bus):
        refused = await desk.http.post(acting(call), data={"act": "say", "text": "x"})
        assert refused.status_code == 422
        assert "Nobody has answered yet." in refused.text
        assert (await desk.http.post(acting(call), data={"act": "hang_up"})).status_code == 200
    assert [type(ask) for ask in webhooks.asked] == [HangUpCall]
    assert [act for _, act, _ in await call.acts()] == ["hang_up"]


async def test_nobody_at_all_is_said_within_the_bound(
    desk: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dashboard.steer.steering.ANSWER_S", 0.2)
    call = await desk.call()
    for form, words in (
        ({"act": "whisper", "text": "x"}, "No worker holds this call"),
        ({"act": "hang_up"}, "webhooks did not either"),
    ):
        answer = await desk.http.post(acting(call), data=form)
        assert answer.status_code == 422
        assert words in answer.text


async def test_what_cannot_be_done_now_is_disabled_and_refused_with_the_reason(
    desk: World,
) -> None:
    call = await desk.call("gate")
    async with call.obey():
        page = (await desk.http.get(f"/calls/{call.id}")).text
        assert page.count('disabled title="The caller stands at the gate."') >= 3
        answer = await desk.http.post(acting(call), data={"act": "say", "text": "x"})
        assert answer.status_code == 422
        assert "The caller stands at the gate." in answer.text
        await call.write(e.ModeChanged, mode="conversation")
        await call.write(e.TakenOver, operator="noor", line_ms=900)
        await desk.shown(call, "active", speaker="noor")
        page = (await desk.http.get(f"/calls/{call.id}")).text
        assert "<b>noor speaks</b>" in page
        assert 'disabled title="noor is speaking to the caller."' in page
        await call.end()
        await desk.shown(call, "ended")
        answer = await desk.http.post(acting(call), data={"act": "whisper", "text": "x"})
        assert "The call is over." in answer.text
    assert call.obeyed == []
    assert await call.acts() == [], "what was not asked is not written down"


async def test_an_operator_who_speaks_can_give_back_from_another_page(desk: World) -> None:
    call = await desk.call()
    await call.write(e.TakenOver, operator="mira", line_ms=900)
    await desk.shown(call, "active", speaker="mira")
    async with call.obey():
        answer = await desk.http.post(acting(call), data={"act": "give_back"})
    assert answer.status_code == 200
    assert call.obeyed == [GiveBack("mira")]


async def test_without_scripts_the_answer_is_a_page_with_a_way_back(desk: World) -> None:
    call = await desk.call()
    async with call.obey():
        answer = await desk.http.post(acting(call), data={"act": "say", "text": "One moment."})
    assert "<!doctype html>" in answer.text
    assert "The assistant says it." in answer.text
    assert f'href="/calls/{call.id}"' in answer.text
    empty = await desk.http.post(acting(call), data={"act": "say", "text": " "})
    assert empty.status_code == 422
    assert "Write what to have said first." in empty.text


async def test_an_unknown_call_is_not_there(desk: World) -> None:
    for path in ("act", "listen"):
        answer = await desk.http.post(f"/calls/CA{'9' * 32}/{path}", data={"act": "hang_up"})
        assert answer.status_code == 404


async def test_whispers_and_takeovers_stand_on_the_page(desk: World) -> None:
    call = await desk.call()
    whisper: dict[str, object] = {"by": "mira", "text": "offer the <window> seat"}
    await call.write(e.OperatorActed, operator="mira", act="whisper")
    await call.write(e.Whispered, **whisper)
    await call.write(e.TakenOver, operator="mira", line_ms=1000)
    await call.write(e.GivenBack, operator="mira", line_ms=4200, reason="silent")
    await call.write(e.RecordingStarted, line_ms=700, announced=True)
    await desk.shown(call, "active", speaker="")
    async with asyncio.timeout(20):
        while "Recorded from here on" not in (
            page := (await desk.http.get(f"/calls/{call.id}")).text
        ):
            await asyncio.sleep(0.02)
    assert "mira whispered: offer the &lt;window&gt; seat" in page
    assert "mira took the call over, 0:01: fell silent" in page
    assert page.count("mira: whisper<") == 0, "the act and its words are one"
    assert NUMBER not in page


def test_commands_of_the_desk_are_all_of_an_operators() -> None:
    from dashboard.steer.acts import ACTS

    tags = {kind.__struct_config__.tag for kind in commands.Command.__args__}
    assert tags - {"update_session"} == set(ACTS)
