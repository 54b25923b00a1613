"""How long the desk's pages take with many live calls and a long history.

``.venv/bin/python scripts/bench_pages.py [--calls 100000] [--live 200] [--tries 30] [--strict]``
starts NATS, PostgreSQL, tool-runner and the desk as processes of their own, fills the history
(bench_history's calls), writes calls that go on into the log, logs in and asks for every page over
http. Prints p50 and p95 in ms; with --strict a p95 above 100 ms is a failure.
"""

import argparse
import asyncio
import contextlib
import os
import shutil
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Mapping
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode

import asyncpg
import httpx2

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/integration"))

import bench_history
import desk_calls
from desk_login import cookies

from protocol import subjects
from protocol.ids import WorkerId
from protocol.placement import AgentLoad
from protocol.todos import AddTodo, Caller, IdentifyCaller, ListTodos, TodoList, TodoReply
from runtime.bus import Bus, connect
from runtime.clock import utc_now
from runtime.outbox import publish
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from runtime.tasks import Tasks
from testbed import infra
from testbed.desk_pages import PAGES
from testbed.layout import tool_environment
from testbed.migrations import migrate, migrations_table
from testbed.ports import free_port
from testbed.process import Process

ROOT = Path(__file__).parents[1]
BOUND_MS = 100.0
PATIENCE_S = 120.0
PAUSED = "calls, nobody looked"
"""The live page when its rows are drawn anew: a second after it was looked at."""
PAUSE_S = 1.2
QUESTIONS = {
    "a word": {"q": "pizza"},
    "a rare word": {"q": "aubergine"},
    "a phrase": {"q": '"order a pizza"'},
    "a number": {"q": "7919"},
    "a tool": {"q": "create_task"},
    "an outcome": {"outcome": "lost"},
    "a month": {"q": "2026-10"},
}


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def until_ready(url: str) -> None:
    async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient() as http:
        while True:
            with contextlib.suppress(httpx2.TransportError):
                if (await http.get(url)).status_code == 200:
                    return
            await asyncio.sleep(0.1)


@contextlib.asynccontextmanager
async def service(module: str, admin: str, **settings: str) -> AsyncGenerator[None]:
    """A service of ours as a process, ready by then."""
    port = free_port()
    env = tool_environment(settings["NATS_URL"])
    env |= {admin: str(port), "LOG_LEVEL": "warning", **settings}
    process = Process(module, [sys.executable, "-m", module], env=env, cwd=ROOT)
    await process.start()
    try:
        await process.ready(f"http://127.0.0.1:{port}/readyz", PATIENCE_S)
        yield
    finally:
        await process.stop(20)


async def go_on(bus: Bus, live: int) -> tuple[str, str]:
    """Write ``live`` calls that go on and one that is over; the ids of one of each."""
    now, base = utc_now(), 0
    for n in range(1, live + 1):
        for _, event in desk_calls.fresh_call(n, now, base).entries:
            await publish(bus, event)
    over = desk_calls.fresh_call(live + 1, now, base)
    over.ends(100_000, "caller_hung_up")
    for _, event in over.entries:
        await publish(bus, event)
    return desk_calls.call_id(1), desk_calls.call_id(live + 1)


async def plan(bus: Bus) -> str:
    """A caller with a full week; their id."""
    asked = IdentifyCaller("+12125553456")
    caller = await bus.request(subjects.callers("identify"), asked, Caller, timeout=10)
    listed = await bus.request(
        subjects.todos("list"), ListTodos(caller.caller_id), TodoList, timeout=10
    )
    for n in range(40):
        todo = AddTodo(caller.caller_id, f"todo {n}", listed.today + timedelta(days=n % 9 - 1))
        await bus.request(subjects.todos("add"), todo, TodoReply, timeout=10)
    return caller.caller_id


async def beat(bus: Bus) -> None:
    """Workers that are there."""
    while True:
        for n in range(1, 5):
            load = AgentLoad(WorkerId(f"agent-{n}"), 10, draining=False, build="bench")
            await bus.publish(subjects.AGENTS_LOAD, load)
        await asyncio.sleep(0.25)


def addresses(values: Mapping[str, str]) -> dict[str, str]:
    found = {page.name: at for page in PAGES if (at := page.at(**values)) and not page.open_}
    found[PAUSED] = "/"
    for name, asked in QUESTIONS.items():
        found[f"history: {name}"] = f"/history?{urlencode(asked)}"
    for days in (14, 90):
        first = utc_now() - timedelta(days=days - 1)
        span = {"from": f"{first:%Y-%m-%d}", "to": f"{utc_now():%Y-%m-%d}"}
        found[f"figures of {days} days"] = f"/history/figures?{urlencode(span)}"
    return found


async def measure(http: httpx2.AsyncClient, pages: Mapping[str, str], tries: int) -> list[str]:
    """Ask for each page; the names of those above the bound."""
    slow: list[str] = []
    for name, at in pages.items():
        answer = await http.get(at)
        if answer.status_code != 200:
            say(f"  {name:26} not measured: {answer.status_code}")
            continue
        times: list[float] = []
        for _ in range(tries):
            if name == PAUSED:
                await asyncio.sleep(PAUSE_S)
            began = time.perf_counter()
            answer = await http.get(at)
            times.append((time.perf_counter() - began) * 1000)
            assert answer.status_code == 200, f"{at}: {answer.status_code}"
        times.sort()
        p50, p95 = times[len(times) // 2], times[max(0, -(-95 * len(times) // 100) - 1)]
        size = len(answer.content) // 1024
        say(f"  {name:26} {p50:7.1f} {p95:7.1f}   {size:5} kB{'  slow' if p95 > BOUND_MS else ''}")
        if p95 > BOUND_MS:
            slow.append(name)
    return slow


async def quiet(dsn: str, url: str, token: dict[str, str], calls: int) -> None:
    """Wait until the board holds the calls and the history has caught up with the log."""
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(PATIENCE_S), httpx2.AsyncClient(cookies=token) as http:
            while True:
                waiting = await connection.fetchval(
                    "SELECT count(*) FROM calls WHERE due_at IS NOT NULL"
                )
                days = await connection.fetchval("SELECT count(*) FROM stale_figures")
                board = (await http.get(f"{url}/board.json")).json()["calls"]
                if not waiting and not days and len(board) >= calls:
                    return
                await asyncio.sleep(0.5)
    finally:
        await connection.close()


async def run(given: argparse.Namespace, folder: Path) -> list[str]:
    async with (
        infra.nats(None, folder / "nats") as nats,
        infra.postgres(None, folder / "data") as server,
    ):
        dsn = await server.create_database(f"bench_{os.getpid()}")
        for name in ("tool-runner", "dashboard"):
            migrations = ROOT / f"services/{name}/migrations"
            await migrate(dsn, migrations, table=migrations_table(name))
        began = time.perf_counter()
        await bench_history.fill(dsn, given.calls)
        say(f"{given.calls} calls in the history, made in {time.perf_counter() - began:.0f} s")
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        common = {"NATS_URL": nats.url, "DATABASE_URL": dsn}
        desk = common | {"DASHBOARD_PORT": str(port), "DASHBOARD_URL": url}
        async with connect(CommonSettings(nats_url=nats.url), "bench", Shutdown()) as bus:
            await provision(bus, wait_s=20, shutdown=Shutdown())
            async with (
                service("tool_runner", "TOOL_RUNNER_ADMIN_PORT", **common),
                service("dashboard", "DASHBOARD_ADMIN_PORT", **desk),
            ):
                token = await cookies(dsn)
                await until_ready(f"{url}/static/desk.css")
                call, ended = await go_on(bus, given.live)
                caller = await plan(bus)
                async with Tasks("bench") as tasks:
                    tasks.spawn(beat(bus), "workers")
                    await quiet(dsn, url, token, given.live)
                    say(f"{given.live} live calls; ms p50 and p95 of {given.tries} tries, size")
                    values = {"call": call, "ended": ended, "caller": caller}
                    async with httpx2.AsyncClient(base_url=url, cookies=token, timeout=60) as http:
                        return await measure(http, addresses(values), given.tries)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100_000)
    parser.add_argument("--live", type=int, default=200)
    parser.add_argument("--tries", type=int, default=30)
    parser.add_argument("--strict", action="store_true", help="fail above 100 ms")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="trunkline-bench-"))
    folder.chmod(0o711)
    try:
        slow = asyncio.run(run(given, folder))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    say(f"above {BOUND_MS:.0f} ms: {', '.join(slow) or 'none'}")
    return 1 if slow and given.strict else 0


if __name__ == "__main__":
    sys.exit(main())
