"""Who gets into the desk and what they may do there: real PostgreSQL, real NATS, two desks."""

import asyncio
import os
import secrets
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import asyncpg
import httpx2
import pytest
from desk_login import MIGRATIONS, OURS, PATIENCE_S, cookies, desk_database, desk_served
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from dashboard.database import opened
from dashboard.people import trail
from dashboard.people.cookies import Cookie
from dashboard.people.guard import Guard
from dashboard.people.operator import operator_of
from dashboard.people.sessions import Sessions
from dashboard.people.trail import Trail
from dashboard.sse import Hub
from protocol import codec, ids
from protocol import events as e
from protocol.ids import CallId
from runtime import bus
from runtime.calllog import CallLog
from runtime.clock import utc_now
from runtime.outbox import publish
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.postgres import Postgres
from testbed.process import run

TOKEN = "a-token-of-machines-at-the-desk"
PASSWORD = "four plain words do"
NUMBER = "+12125553456"


@pytest.fixture
async def dsn(database: str) -> str:
    return await desk_database(database)


@pytest.fixture
async def url(nats_server: Any, dsn: str) -> AsyncIterator[str]:
    async with desk_served(nats_server.url, dsn, dashboard_token=Secret(TOKEN)) as one:
        yield one


@pytest.fixture
async def browser(url: str) -> AsyncIterator[httpx2.AsyncClient]:
    """A browser that is not logged in."""
    async with httpx2.AsyncClient(base_url=url, headers=OURS) as http:
        yield http


async def sql(dsn: str, statement: str, *values: Any) -> Any:
    """The first value of a statement."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement, *values)
    finally:
        await connection.close()


async def acts(dsn: str) -> list[tuple[str, str, str]]:
    """Operator, act and subject of everything in the trail."""
    connection = await asyncpg.connect(dsn)
    try:
        rows = await connection.fetch("SELECT operator, act, subject FROM audit ORDER BY id")
        return [tuple(row) for row in rows]
    finally:
        await connection.close()


async def command(dsn: str, url: str, *arguments: str, typed: str = "") -> tuple[int, str]:
    """``python -m dashboard.add_operator``: exit code and all it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "dashboard.add_operator", *arguments),
        env={"DATABASE_URL": dsn, "DASHBOARD_URL": url, "STARTUP_WAIT_S": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(typed.encode())
    assert process.returncode is not None
    return process.returncode, said.decode()


def token_of(said: str, url: str) -> str:
    (line,) = [line for line in said.splitlines() if line.startswith(f"{url}/login#")]
    return line.partition("#")[2]


async def with_password(dsn: str, url: str, name: str = "mira", role: str = "admin") -> None:
    done = await command(dsn, url, name, "--role", role, "--password", typed=f"{PASSWORD}\n")
    assert done[0] == 0, done


async def log_in(http: httpx2.AsyncClient, name: str, password: str) -> httpx2.Response:
    return await http.post("/login", data={"name": name, "password": password})


@pytest.mark.parametrize("path", ["/", "/planner", "/operators", "/audit", "/account", "/x?y=1"])
async def test_a_page_sends_who_is_not_logged_in_to_the_log_in(
    browser: httpx2.AsyncClient, path: str
) -> None:
    answer = await browser.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 303
    back = path.replace("/", "%2F").replace("?", "%3F").replace("=", "%3D")
    assert answer.headers["location"] == f"/login?next={back}"


async def test_nothing_else_is_open(browser: httpx2.AsyncClient) -> None:
    call = ids.new_call_id()
    for path in ("/board.json", f"/calls/{call}/events.json", "/live", f"/calls/{call}/live"):
        answer = await browser.get(path, headers={"accept": "*/*"})
        assert answer.status_code == 401, path
    assert (await browser.get("/session")).status_code == 401
    part = await browser.get("/planner/c/new", headers={"hx-request": "true"})
    assert (part.status_code, part.headers["hx-redirect"]) == (401, "/login")
    for path in ("/operators", "/logout", f"/calls/{call}/reveal", "/account/password"):
        assert (await browser.post(path)).status_code == 401, path
    for path in ("/login", "/static/people.css", "/favicon.ico"):
        assert (await browser.get(path)).status_code == 200, path
    broken = {"cookie": "desk=" + "x" * 5000}
    assert (await browser.get("/board.json", headers=broken)).status_code == 401


async def test_without_an_operator_the_page_says_how_to_make_one(
    browser: httpx2.AsyncClient, dsn: str, url: str
) -> None:
    page = (await browser.get("/login")).text
    assert "python -m dashboard.add_operator NAME --role admin" in page
    assert 'name="password"' not in page
    await with_password(dsn, url)
    page = (await browser.get("/login")).text
    assert "add_operator" not in page
    assert 'name="password"' in page


async def test_a_link_logs_in_once_and_reading_it_uses_nothing_up(
    browser: httpx2.AsyncClient, dsn: str, url: str
) -> None:
    code, said = await command(dsn, url, "mira", "--role", "admin")
    assert code == 0
    token = token_of(said, url)
    assert (await browser.get("/login")).status_code == 200
    answer = await browser.post("/login/link", data={"token": token, "next": "/planner"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/planner")
    assert (await browser.get("/session")).status_code == 204
    async with httpx2.AsyncClient(base_url=url, headers=OURS) as other:
        again = await other.post("/login/link", data={"token": token})
        assert again.status_code == 422
        assert "used up" in again.text
        assert (await other.get("/session")).status_code == 401
        _, said = await command(dsn, url, "mira")
        first = token_of(said, url)
        _, said = await command(dsn, url, "mira")
        old = await other.post("/login/link", data={"token": first})
        assert old.status_code == 422, "a newer link ends the older one"
        await sql(dsn, "UPDATE login_links SET expires_at = now() - interval '1 second'")
        late = await other.post("/login/link", data={"token": token_of(said, url)})
        assert late.status_code == 422
        for nonsense in ("", "x", "\0", "x" * 43, "x" * 10_000):
            wrong = await other.post("/login/link", data={"token": nonsense})
            assert wrong.status_code == 422
    assert (await acts(dsn))[:3] == [
        ("(command)", "operator_added", "mira"),
        ("(command)", "link_made", "mira"),
        ("mira", "log_in", ""),
    ]
    stored = await sql(dsn, "SELECT encode(hash, 'hex') FROM sessions")
    assert token not in stored


async def test_a_password_logs_in_under_a_new_session(
    browser: httpx2.AsyncClient, dsn: str, url: str
) -> None:
    await with_password(dsn, url)
    planted = (await cookies(dsn, "eve", "viewer"))["desk"]
    sent = {"cookie": f"desk={planted}"}
    data = {"name": "mira", "password": PASSWORD, "next": "//evil.example"}
    answer = await browser.post("/login", data=data, headers=sent)
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert {"HttpOnly", "Path=/", "SameSite=lax"} <= {part.strip() for part in cookie.split(";")}
    assert planted not in cookie
    assert (await browser.get("/")).status_code == 200
    async with httpx2.AsyncClient(base_url=url, headers=OURS | sent) as other:
        assert (await other.get("/session")).status_code == 401, "the planted session has ended"
    assert (await browser.get("/login?next=/planner")).headers["location"] == "/planner"
    left = (await browser.post("/logout")).headers
    assert left["location"] == "/login"
    assert (await browser.get("/session")).status_code == 401
    assert await sql(dsn, "SELECT count(*) FROM sessions") == 0
    assert [act for who, act, _ in await acts(dsn) if who == "mira"] == ["log_in", "log_out"]


async def test_what_is_wrong_with_a_log_in_is_not_told(
    browser: httpx2.AsyncClient, dsn: str, url: str
) -> None:
    await with_password(dsn, url)
    await with_password(dsn, url, "gone", "viewer")
    await sql(dsn, "UPDATE operators SET disabled_at = now() WHERE name = 'gone'")
    await command(dsn, url, "links", "--role", "viewer")
    answers = []
    for name, password in (
        ("mira", "wrong"),
        ("gone", PASSWORD),
        ("links", ""),
        ("nobody", PASSWORD),
        ("'; --", "x\0y" * 100_0),
        ("é" * 300, "è" * 300),
    ):
        answer = await log_in(browser, name, password)
        answers.append((answer.status_code, answer.text.count("do not belong together")))
        assert password not in answer.text or not password
    assert answers == [(422, 1)] * 6
    refused = [who for who, act, _ in await acts(dsn) if act == "log_in_refused"]
    assert refused == ["mira", "gone", "links", "(unknown)", "(unknown)", "(unknown)"]


async def test_failed_tries_slow_down_the_next_ones_at_every_desk(
    browser: httpx2.AsyncClient, dsn: str, url: str, nats_server: Any
) -> None:
    await with_password(dsn, url)
    assert (await log_in(browser, "mira", "wrong")).status_code == 422
    # As if there had been many: the delay is then longer than any machine is slow.
    await sql(dsn, "UPDATE login_failures SET failures = 11 WHERE key LIKE 'name:%'")
    async with (
        desk_served(nats_server.url, dsn) as second,
        httpx2.AsyncClient(base_url=second, headers=OURS) as other,
    ):
        desks = (browser, other)
        async with asyncio.TaskGroup() as group:
            tries = [group.create_task(log_in(one, "mira", "wrong")) for one in desks]
        codes = sorted(one.result().status_code for one in tries)
        assert codes == [422, 429], "of two at once, one is compared"
        for one in desks:
            right = await log_in(one, "mira", PASSWORD)
            assert right.status_code == 429, "even the right one waits"
            assert 400 < int(right.headers["retry-after"]) <= 512
            assert (await one.get("/session")).status_code == 401
    stranger = await log_in(browser, "another", "wrong")
    assert stranger.status_code == 422, "others may try"
    past = "UPDATE login_failures SET locked_until = now() - interval '1 second'"
    await sql(dsn, past)
    assert (await log_in(browser, "mira", PASSWORD)).status_code == 303
    left = await sql(dsn, "SELECT failures FROM login_failures WHERE locked_until > now()")
    assert left is None


async def test_an_address_that_tries_many_names_is_slowed_down_too(
    browser: httpx2.AsyncClient, dsn: str, url: str
) -> None:
    await with_password(dsn, url)
    await log_in(browser, "first", "wrong")
    await sql(dsn, "UPDATE login_failures SET failures = 20 WHERE key = 'address:127.0.0.1'")
    assert (await log_in(browser, "second", "wrong")).status_code == 422
    assert (await log_in(browser, "third", "wrong")).status_code == 429
    assert (await log_in(browser, "mira", PASSWORD)).status_code == 429
    names = await sql(dsn, "SELECT count(*) FROM login_failures WHERE key LIKE 'name:%'")
    assert names == 2, "a slowed address locks nobody out"
    code, said = await command(dsn, url, "mira")
    assert code == 0
    link = await browser.post("/login/link", data={"token": token_of(said, url)})
    assert link.status_code == 303, "a link gets in all the same"


async def test_a_session_that_ends_takes_its_streams_along_at_every_desk(
    dsn: str, url: str, nats_server: Any
) -> None:
    admin, mira = await cookies(dsn, "boss"), await cookies(dsn, "mira", "viewer")
    async with (
        desk_served(nats_server.url, dsn) as second,
        httpx2.AsyncClient(base_url=url, headers=OURS, cookies=admin) as boss,
        httpx2.AsyncClient(base_url=second, headers=OURS, cookies=mira, timeout=PATIENCE_S) as one,
        httpx2.AsyncClient(base_url=second, headers=OURS, cookies=admin, timeout=PATIENCE_S) as two,
        one.stream("GET", "/live") as hers,
        two.stream("GET", "/live") as others,
    ):
        lines, going = hers.aiter_lines(), others.aiter_lines()
        assert await anext(lines) == await anext(going) == "retry: 1000"
        assert (await boss.post("/operators/mira/disable")).status_code == 303
        async with asyncio.timeout(PATIENCE_S):
            async for _ in lines:
                pass
        assert (await one.get("/session")).status_code == 401
        assert (await two.get("/session")).status_code == 204
        async with asyncio.timeout(PATIENCE_S):
            assert await anext(going) is not None, "nobody else's stream ends"


async def test_roles(dsn: str, url: str) -> None:
    async def client(role: Any) -> httpx2.AsyncClient:
        sent = await cookies(dsn, role, role)
        return httpx2.AsyncClient(base_url=url, headers=OURS, cookies=sent)

    async with await client("viewer") as one:
        answer = await one.post("/planner/c-ann/new", data={"description": "x"})
        assert answer.status_code == 403
        assert "a viewer: you may look, not change" in answer.text
        assert (await one.get("/")).status_code == 200
        assert (await one.get("/account")).status_code == 200
        assert (await one.post("/account/sessions")).status_code == 200, "what concerns oneself"
    async with await client("operator") as one:
        for path in ("/operators", "/audit"):
            assert (await one.get(path)).status_code == 403
            assert f'href="{path}"' not in (await one.get("/")).text
        added = await one.post("/operators", data={"name": "eve", "role": "admin"})
        assert added.status_code == 403
        assert (await one.post("/operators/viewer/disable")).status_code == 403
    async with await client("admin") as one:
        assert (await one.get("/operators")).status_code == 200
        assert 'href="/operators"' in (await one.get("/")).text
    assert await sql(dsn, "SELECT count(*) FROM operators") == 3


async def test_admins_manage_operators(dsn: str, url: str) -> None:
    async with httpx2.AsyncClient(
        base_url=url, headers=OURS, cookies=await cookies(dsn, "boss")
    ) as boss:
        added = await boss.post("/operators", data={"name": "mira", "role": "viewer"})
        assert added.status_code == 200
        token = added.text.partition(f"{url}/login#")[2][:43]
        assert token not in (await boss.get("/operators")).text, "shown once"
        for name, role in (("mira", "viewer"), ("Mira!", "viewer"), ("eve", "root"), ("", "")):
            refused = await boss.post("/operators", data={"name": name, "role": role})
            assert refused.status_code == 422, name
        async with httpx2.AsyncClient(base_url=url, headers=OURS) as mira:
            assert (await mira.post("/login/link", data={"token": token})).status_code == 303
            assert (await mira.get("/operators")).status_code == 403
            await boss.post("/operators/mira/role", data={"role": "admin"})
            assert (await mira.get("/session")).status_code == 401, "a new role, a new session"
            again = (await boss.post("/operators/mira/link")).text
            token = again.partition(f"{url}/login#")[2][:43]
            await mira.post("/login/link", data={"token": token})
            assert (await mira.get("/operators")).status_code == 200
            for act in ("disable", "role"):
                own = await mira.post(f"/operators/mira/{act}", data={"role": "viewer"})
                assert own.status_code == 422, "there is always an admin"
            async with asyncio.TaskGroup() as group:
                both = [
                    group.create_task(boss.post("/operators/mira/disable")),
                    group.create_task(mira.post("/operators/boss/disable")),
                ]
            codes = sorted(one.result().status_code for one in both)
            assert codes[0] == 303
            assert codes[1] in {401, 403}, codes
        left = await sql(
            dsn, "SELECT count(*) FROM operators WHERE disabled_at IS NULL AND role = 'admin'"
        )
        assert left == 1
        assert (await boss.post("/operators/nobody/disable")).status_code in {401, 403, 404}
    done = [act for _, act, _ in await acts(dsn)]
    assert done == [
        *("operator_added", "link_made", "log_in", "role_changed", "link_made", "log_in"),
        "operator_disabled",
    ]


async def test_ones_own_password(browser: httpx2.AsyncClient, dsn: str, url: str) -> None:
    await with_password(dsn, url)
    await log_in(browser, "mira", PASSWORD)
    elsewhere = await cookies(dsn, "mira")
    new = "some other plain words"
    for old, first, again, where in (
        ("wrong", new, new, "old-problem"),
        (PASSWORD, "short", "short", "new-problem"),
        (PASSWORD, "x" * 300, "x" * 300, "new-problem"),
        (PASSWORD, "miramiramiramira", "miramiramiramira", "new-problem"),
        (PASSWORD, new, "other", "again-problem"),
    ):
        typed = {"old": old, "new": first, "again": again}
        answer = await browser.post("/account/password", data=typed)
        assert answer.status_code == 422
        assert f'id="{where}"' in answer.text
        assert first not in answer.text
    typed = {"old": PASSWORD, "new": new, "again": new}
    assert (await browser.post("/account/password", data=typed)).status_code == 200
    assert (await browser.get("/session")).status_code == 204, "this browser stays"
    async with httpx2.AsyncClient(base_url=url, headers=OURS, cookies=elsewhere) as other:
        assert (await other.get("/session")).status_code == 401
        assert (await log_in(other, "mira", PASSWORD)).status_code == 422
        assert (await log_in(other, "mira", new)).status_code == 303
        _, said = await command(dsn, url, "mira")
        await other.post("/login/link", data={"token": token_of(said, url)})
        forgotten = {"new": PASSWORD, "again": PASSWORD}
        assert (await other.post("/account/password", data=forgotten)).status_code == 200
        assert (await log_in(other, "mira", PASSWORD)).status_code == 303
    assert await sql(dsn, "SELECT count(*) FROM operators WHERE hash LIKE '$argon2id$%'") == 1


async def test_machines_read_the_board_with_a_token_and_nothing_else(
    dsn: str, url: str, nats_server: Any
) -> None:
    async with httpx2.AsyncClient(base_url=url) as machine:
        right = {"authorization": f"Bearer {TOKEN}"}
        assert (await machine.get("/board.json", headers=right)).status_code == 200
        for wrong in ("Bearer x", f"Bearer {TOKEN}x", "Bearer", "Bearer é", f"Basic {TOKEN}"):
            refused = await machine.get(
                "/board.json", headers={"authorization": wrong.encode("latin-1")}
            )
            assert refused.status_code == 401, wrong
        for path in ("/", "/operators", f"/calls/{ids.new_call_id()}/events.json"):
            assert (await machine.get(path, headers=right)).status_code in {303, 401}
        assert (await machine.post("/operators", headers=right | OURS)).status_code == 401
    async with (
        desk_served(nats_server.url, dsn) as closed,
        httpx2.AsyncClient(base_url=closed) as machine,
    ):
        for empty in ("Bearer", f"Bearer {TOKEN}"):
            sent = {"authorization": empty}
            assert (await machine.get("/board.json", headers=sent)).status_code == 401


async def ringing(nats_url: str) -> CallId:
    """A call in the log."""
    call = ids.new_call_id()
    common = CommonSettings(nats_url=nats_url)
    async with bus.connect(common, "test", Shutdown()) as connected:
        about = {"call_id": call, "at": utc_now(), "service": "test", "worker": "w"}
        event = e.Ringing(id=ids.new_event_id(), caller=NUMBER, called="+15557001122", **about)
        await publish(connected, event)
    return call


async def test_a_revealed_number_is_in_the_calls_log_and_in_the_trail(
    dsn: str, url: str, nats_server: Any
) -> None:
    call = await ringing(nats_server.url)
    path = f"/calls/{call}/reveal"
    common = CommonSettings(nats_url=nats_server.url)
    async with (
        httpx2.AsyncClient(
            base_url=url, headers=OURS, cookies=await cookies(dsn, "vic", "viewer")
        ) as viewer,
        httpx2.AsyncClient(
            base_url=url, headers=OURS, cookies=await cookies(dsn, "mira", "operator")
        ) as mira,
        bus.connect(common, "test", Shutdown()) as connected,
    ):
        assert (await viewer.post(path)).status_code == 403
        assert "/reveal" not in (await viewer.get(f"/calls/{call}")).text
        page = (await mira.get(f"/calls/{call}")).text
        assert path in page
        assert NUMBER not in page
        assert (await mira.get(path)).status_code == 405, "looking is an act"
        shown = await mira.post(path, headers={"hx-request": "true"})
        assert shown.status_code == 200
        assert NUMBER in shown.text
        assert NUMBER not in (await mira.get(f"/calls/{call}")).text
        assert (await mira.post(f"/calls/{ids.new_call_id()}/reveal")).status_code == 404
        entries = await CallLog(connected).read(call)
    found = [entry.event for entry in entries if isinstance(entry.event, e.OperatorActed)]
    assert [(one.operator, one.act) for one in found] == [("mira", "reveal_number")]
    rows = await sql(dsn, "SELECT array_agg(operator || ' ' || act || ' ' || call_id) FROM audit")
    assert rows == [f"mira reveal_number {call}"]
    assert NUMBER.encode() not in codec.encode(found[0])


async def test_the_trail_only_grows(dsn: str, url: str) -> None:
    call = ids.new_call_id()
    async with opened(Secret(dsn), size=1) as db:
        async with db.transaction(5) as connection:
            who = trail.Operator("mira", "operator")
            await trail.record(connection, who, "whisper", call=call, detail="her words")
            await trail.record(connection, who, "log_out")
        for change in (
            "DELETE FROM audit",
            "TRUNCATE audit",
            "UPDATE audit SET operator = 'eve'",
            "UPDATE audit SET subject = '', call_id = NULL, detail = 'nothing happened'",
            "UPDATE audit SET at = now(), call_id = NULL, detail = 'forgotten'",
        ):
            with pytest.raises(asyncpg.RaiseError, match="append-only"):
                await sql(dsn, change)
        assert await sql(dsn, "SELECT detail FROM audit WHERE call_id = $1", call) == "her words"
        async with db.transaction(5) as connection:
            assert await trail.forget(connection, [call]) == 1
    assert await sql(dsn, "SELECT count(*) FROM audit") == 2
    assert await sql(dsn, "SELECT audit::text LIKE '%forgotten%' FROM audit WHERE act='whisper'")
    async with httpx2.AsyncClient(
        base_url=url, headers=OURS, cookies=await cookies(dsn, "boss")
    ) as boss:
        page = (await boss.get("/audit")).text
        assert page.index("log out") < page.index("whisper")
        assert "whisper" not in (await boss.get("/audit?operator=boss")).text
        for odd in ("before=x", "before=999999999999999999999", "operator=%00", "call=é"):
            assert (await boss.get(f"/audit?{odd}")).status_code in {200, 404}


async def test_without_the_database_live_calls_are_shown_and_nobody_new_gets_in(
    server_folder: Path, nats_server: Any
) -> None:
    server = await Postgres.start(server_folder / f"desk-{secrets.token_hex(6)}")
    try:
        dsn = await desk_database(server.dsn)
        call = await ringing(nats_server.url)
        async with desk_served(nats_server.url, dsn) as url:
            client = httpx2.AsyncClient(
                base_url=url,
                headers=OURS | {"accept": "text/html"},
                cookies=await cookies(dsn, "mira"),
                timeout=PATIENCE_S,
            )
            async with client as mira, httpx2.AsyncClient(base_url=url, headers=OURS) as new:
                assert (await mira.get("/")).status_code == 200
                await server.stop()
                assert call in (await mira.get(f"/calls/{call}")).text
                assert (await mira.get("/")).status_code == 200
                shown = await mira.post(f"/calls/{call}/reveal")
                assert NUMBER in shown.text, "the call's log has it; the trail gets it later"
                page = await mira.get("/audit")
                assert page.status_code == 503
                assert "needs PostgreSQL" in page.text
                assert (await mira.post("/logout")).status_code == 503
                for answer in (
                    await new.get("/login"),
                    await log_in(new, "mira", PASSWORD),
                    await new.post("/login/link", data={"token": "x" * 43}),
                ):
                    assert answer.status_code == 503
                    assert "Nobody can log in at this moment" in answer.text
                await server.restart()
                async with asyncio.timeout(PATIENCE_S):
                    while (await mira.get("/audit")).status_code != 200:
                        await asyncio.sleep(0.1)
                    while await acts(dsn) != [("mira", "reveal_number", "")]:
                        await asyncio.sleep(0.1)
                assert (await new.get("/login")).status_code == 200
    finally:
        await server.stop()


async def test_the_command_says_what_is_wrong_and_takes_no_password_as_an_argument(
    dsn: str, url: str
) -> None:
    assert await command(dsn, url, "mira") == (
        1,
        "add_operator: there is no operator mira yet: give a --role\n",
    )
    code, said = await command(dsn, url, "Mira K", "--role", "admin")
    assert (code, "A name is 1 to 63" in said) == (1, True)
    code, said = await command(dsn, url, "mira", "--role", "admin", "--password", typed="short\n")
    assert (code, "at least 12 characters" in said) == (1, True)
    code, said = await command(dsn, url, "mira", "--role", "admin", "--password", PASSWORD)
    assert (code, "unrecognized arguments" in said) == (2, True)
    assert await sql(dsn, "SELECT count(*) FROM operators") == 0
    await with_password(dsn, url, "mira", "viewer")
    await sql(dsn, "UPDATE operators SET disabled_at = now()")
    code, said = await command(dsn, url, "mira", "--role", "admin")
    assert said.splitlines()[0] == "mira is admin."
    assert await sql(dsn, "SELECT disabled_at IS NULL AND role = 'admin' FROM operators")
    code, said = await command(dsn.rpartition("/")[0] + "/absent", url, "mira")
    assert (code, "no database of that name" in said) == (1, True)


async def test_a_change_that_no_page_writes_down_is_written_down_by_its_address(
    dsn: str, nats_server: Any
) -> None:
    """Whatever is added to the desk later: nothing is done by nobody."""
    common = CommonSettings(nats_url=nats_server.url)
    async with opened(Secret(dsn), size=2) as db, bus.connect(common, "t", Shutdown()) as connected:
        log = Trail(db, connected)

        async def answer(request: Request) -> Response:
            if request.url.path == "/said":
                await log.note(operator_of(request), "something", subject="somebody")
            return Response(status_code=422 if request.url.path == "/refused" else 204)

        app = Starlette(
            routes=[
                Route(path, answer, methods=["GET", "POST"])
                for path in ("/said", "/unsaid", "/refused")
            ],
            middleware=[
                Middleware(
                    Guard,
                    sessions=Sessions(db, Hub(), hours=1),
                    cookie=Cookie("http://desk", hours=1),
                    token=Secret(""),
                    log=log,
                    say=lambda _, code, text: PlainTextResponse(text, code),
                )
            ],
        )
        async with httpx2.AsyncClient(
            base_url="http://desk",
            transport=httpx2.ASGITransport(app),
            cookies=await cookies(dsn, "mira", "operator"),
        ) as mira:
            for path in ("/said", "/unsaid", "/refused"):
                await mira.get(path)
                await mira.post(path)
    by_reading = ("mira", "something", "somebody")
    assert await acts(dsn) == [by_reading, by_reading, ("mira", "change", "/unsaid")]


async def test_what_has_expired_is_removed(dsn: str, url: str, nats_server: Any) -> None:
    await command(dsn, url, "mira", "--role", "admin")
    sent = await cookies(dsn)
    for table in ("sessions", "login_links"):
        await sql(dsn, f"UPDATE {table} SET expires_at = now() - interval '1 second'")
    async with httpx2.AsyncClient(base_url=url, cookies=sent) as late:
        assert (await late.get("/session")).status_code == 401
    async with desk_served(nats_server.url, dsn), asyncio.timeout(PATIENCE_S):
        for table in ("sessions", "login_links"):
            while await sql(dsn, f"SELECT count(*) FROM {table}"):
                await asyncio.sleep(0.05)


async def test_the_migrations_go_down_and_up_again(database: str) -> None:
    dsn = await desk_database(database)
    count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"
    before = await sql(dsn, count)
    for _ in MIGRATIONS.glob("*.sql"):
        down = await run(
            "dbmate",
            [
                *(Path(sys.executable).parent / "dbmate", "--no-dump-schema"),
                *("--migrations-dir", MIGRATIONS, "--migrations-table", "dashboard_migrations"),
                "down",
            ],
            env={"PATH": os.defpath, "DATABASE_URL": f"{dsn}?sslmode=disable"},
            cwd=MIGRATIONS,
        )
        assert down.returncode == 0, down.tail()
    assert await sql(dsn, count) == 1, "the list of migrations itself"
    await desk_database(database)
    assert await sql(dsn, count) == before
