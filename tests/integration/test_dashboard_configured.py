"""What is configured, at the desk: the page of assistants over a folder that changes, and the page
of tools over services that come, go, disagree and fail; who may call one, and what is kept of it.
"""

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from desk_calls import Writer, call_id
from desk_login import OURS, cookies, desk_database, desk_served

from dashboard.database import WITHIN_S, opened
from protocol import ids, tools
from runtime import micro
from runtime.bus import Bus, connect
from runtime.clock import utc_now
from runtime.errors import Refused
from runtime.outbox import publish
from runtime.service import Shutdown
from runtime.settings import CommonSettings, Secret
from testbed.infra import GivenPostgres
from testbed.nats_server import NatsServer
from testbed.postgres import Postgres

PATIENCE_S = 20.0
GOOD = """
name = "night-line"
numbers = ["+15557001122"]
greeting = "Greet."
instructions = "Help <gently>."
tools = ["look_up", "gone"]
voice = "cedar"
"""
SCHEMA = (
    '{"type":"object","required":["day"],"properties":{"day":{"type":"string","format":"date"},'
    '"times":{"type":"integer"}},"additionalProperties":false}'
)
META = {"description": "Looks <things> up.", "schema": SCHEMA}
NIGHT = "night-line"


@dataclass
class Site:
    """A served desk over a folder of profiles, and the bus."""

    url: str
    dsn: str
    folder: Path
    bus: Bus

    async def browser(self, role: str = "operator") -> httpx2.AsyncClient:
        token = await cookies(self.dsn, f"{role}-one", role)  # type: ignore[arg-type]
        return httpx2.AsyncClient(
            base_url=self.url, headers=OURS, cookies=token, timeout=PATIENCE_S
        )

    async def acts(self) -> list[tuple[str, str, str]]:
        async with opened(Secret(self.dsn), size=1) as db, db.transaction(WITHIN_S) as connection:
            rows = await connection.fetch("SELECT operator, act, subject FROM audit ORDER BY id")
        return [tuple(row) for row in rows]


@pytest.fixture
async def site(
    nats_server: NatsServer, postgres_server: Postgres | GivenPostgres, tmp_path: Path
) -> AsyncIterator[Site]:
    dsn = await desk_database(
        await postgres_server.create_database(f"configured_{secrets.token_hex(6)}")
    )
    folder = tmp_path / "assistants"
    folder.mkdir()
    (folder / "night.toml").write_text(GOOD)
    async with (
        connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as bus,
        desk_served(nats_server.url, dsn, assistants_dir=str(folder)) as url,
    ):
        yield Site(url, dsn, folder, bus)


async def until(browser: httpx2.AsyncClient, path: str, check: Callable[[str], object]) -> str:
    """The page, once it is as ``check`` wants it."""
    async with asyncio.timeout(PATIENCE_S):
        while not check(text := (await browser.get(path)).text):
            await asyncio.sleep(0.1)
    return text


def offering(site: Site, handler: Callable[[micro.Request], Awaitable[bytes]], name: str = "alien"):
    endpoint = micro.Endpoint("look_up", "tools.look_up", handler, META)
    return micro.serving(site.bus, name=name, description="d", endpoints=[endpoint])


async def answers(_: micro.Request) -> bytes:
    return b'{"found":"<b>milk</b>"}'


async def test_a_profile_is_shown_with_its_version_and_its_number_masked(site: Site) -> None:
    async with await site.browser("viewer") as browser:
        page = (await browser.get("/assistants")).text
        assert "night-line" in page
        assert "night.toml" in page
        assert "cedar" in page
        assert "Help &lt;gently&gt;." in page
        assert "+15****1122" in page
        assert "+15557001122" not in page
        assert (await browser.post("/assistants")).status_code == 403
    async with await site.browser("operator") as browser:
        shown = await browser.post("/assistants")
        assert "+15557001122" in shown.text
        assert "+15557001122" not in (await browser.get("/assistants")).text
    assert ("operator-one", "reveal_number", "assistants") in await site.acts()


async def test_what_is_wrong_is_named_by_file_key_and_reason_and_healed_without_a_restart(
    site: Site,
) -> None:
    async with await site.browser("viewer") as browser:
        part = (await browser.get("/assistants/list")).text
        seen = part.partition("seen=")[2].partition('"')[0]
        same = await browser.get("/assistants/list", params={"seen": seen})
        assert same.status_code == 204, "the browser has it already"
        (site.folder / "night.toml").write_text(GOOD.replace("voice", "vioce"))
        answer = await browser.get("/assistants/list", params={"seen": seen})
        assert answer.status_code == 200
        for words in ("cannot be used", "night.toml", "vioce", "there is no such key"):
            assert words in answer.text
        assert "keep all the profiles they read before" in answer.text
        (site.folder / "night.toml").write_text(GOOD.replace("cedar", "marin"))
        healed = (await browser.get("/assistants")).text
        assert "there is no such key" not in healed
        assert "marin" in healed
        assert "not readable" in healed, "what it held before is listed"


async def test_a_folder_that_this_host_does_not_have_is_said_in_words(site: Site) -> None:
    (site.folder / "night.toml").unlink()
    site.folder.rmdir()
    async with await site.browser("viewer") as browser:
        page = await browser.get("/assistants")
        assert page.status_code == 200
        assert "There is no folder" in page.text
        assert "ASSISTANTS_DIR" in page.text


async def test_running_calls_are_counted_by_the_version_they_use(site: Site) -> None:
    n = secrets.randbits(60)
    call = Writer(n, utc_now(), 0)
    call.ring()
    call.start()
    call.session(300, NIGHT)
    for _, event in call.entries:
        await publish(site.bus, event)
    async with await site.browser("viewer") as browser:
        page = await until(browser, "/assistants", lambda text: call_id(n) in text)
        assert "another version" in page
        (site.folder / "night.toml").unlink()
        gone = (await browser.get("/assistants")).text
        assert "In calls, but not in this folder" in gone
    call.ends(5000, "caller_hung_up")
    await publish(site.bus, call.entries[-1][1])


async def test_tools_are_shown_with_who_serves_them(site: Site) -> None:
    async with await site.browser("viewer") as browser:
        await until(browser, "/tools", lambda text: "served by nobody" in text)
        async with offering(site, answers):
            page = await until(browser, "/tools", lambda text: "Looks &lt;things&gt; up." in text)
            assert "alien" in page
            assert "night-line" in page
            assert "&#34;additionalProperties&#34;: false" in page
            assert "/tools/call/look_up" not in page, "a viewer gets no form"
            async with offering(site, answers, "other"):
                await until(browser, "/tools", lambda text: "two services serve it" in text)
        await until(browser, "/tools", lambda text: "Looks &lt;things&gt; up." not in text)


async def test_a_tool_is_called_as_a_caller_once_a_click_and_written_down(site: Site) -> None:
    asked: list[micro.Request] = []

    async def remember(request: micro.Request) -> bytes:
        asked.append(request)
        return await answers(request)

    async with offering(site, remember), await site.browser("operator") as browser:
        form = await until(browser, "/tools/call/look_up", lambda text: 'name="a.day"' in text)
        key = form.partition('name="key" value="')[2].partition('"')[0]
        assert ids.token(key) == key
        assert 'type="date"' in form
        sent = {"a.day": "2026-11-24", "a.times": "2", "caller": "c-ann", "key": key}
        done = await browser.post("/tools/call/look_up", data=sent)
        assert "&lt;b&gt;milk&lt;/b&gt;" in done.text
        assert "answered" in done.text
        assert f'value="{key}"' not in done.text, "the next click is another one"
        (request,) = asked
        assert request.data == b'{"day":"2026-11-24","times":2}'
        assert request.headers[tools.IDEMPOTENCY_KEY] == key
        assert request.headers[tools.CALLER] == "c-ann"
        assert 0 < int(request.headers[tools.DEADLINE_MS]) <= 5000
        assert ("operator-one", "call_tool", "look_up for c-ann") in await site.acts()

        wrong = await browser.post("/tools/call/look_up", data={"a.day": "soon", "a.times": "x"})
        assert wrong.status_code == 422
        assert "This is no day" in wrong.text
        assert "This is no whole number" in wrong.text
        assert 'value="soon"' in wrong.text
        assert len(asked) == 1, "what cannot be sent is not sent"


async def test_without_the_role_no_tool_is_called(site: Site) -> None:
    asked: list[micro.Request] = []

    async def remember(request: micro.Request) -> bytes:
        asked.append(request)
        return await answers(request)

    async with offering(site, remember):
        sent = {"a.day": "2026-11-24"}
        async with await site.browser("viewer") as viewer:
            await until(viewer, "/tools", lambda text: "alien" in text)
            assert (await viewer.get("/tools/call/look_up")).status_code == 403
            assert (await viewer.post("/tools/call/look_up", data=sent)).status_code == 403
        async with httpx2.AsyncClient(base_url=site.url, headers=OURS) as nobody:
            assert (await nobody.post("/tools/call/look_up", data=sent)).status_code in (303, 401)
        async with await site.browser("operator") as browser:
            elsewhere = {"sec-fetch-site": "cross-site"}
            away = await browser.post("/tools/call/look_up", data=sent, headers=elsewhere)
            assert away.status_code == 403
    assert asked == []
    assert [act for act in await site.acts() if act[1] == "call_tool"] == []


async def test_failures_are_said_in_words(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuses(_: micro.Request) -> bytes:
        raise Refused(400, "header Trunkline-Caller is missing")

    async def sleeps(_: micro.Request) -> bytes:
        await asyncio.sleep(1)
        return b"{}"

    sent = {"a.day": "2026-11-24"}
    async with await site.browser("operator") as browser:
        async with offering(site, refuses):
            await until(browser, "/tools/call/look_up", lambda text: 'name="a.day"' in text)
            failed = (await browser.post("/tools/call/look_up", data=sent)).text
            assert "header Trunkline-Caller is missing" in failed
        async with offering(site, sleeps):
            monkeypatch.setattr("dashboard.tools.pages.DEADLINE_MS", 200)
            late = (await browser.post("/tools/call/look_up", data=sent)).text
            assert "It is not known whether it was done" in late
        await until(browser, "/tools/call/look_up", lambda text: " disabled>Call" in text)
        refused = await browser.post("/tools/call/look_up", data={"a.": "{}"})
        assert refused.status_code == 422
        assert "nobody serves it" in refused.text
        assert (await browser.get("/tools/call/nothing_like_it")).status_code == 404
