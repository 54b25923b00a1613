"""A worker of ai-agent in the test's loop; the tool service and the records by hand."""

import asyncio
import contextlib
from datetime import date
from pathlib import Path

from line_end import LineEnd

from ai_agent.app import serve
from ai_agent.settings import Settings
from protocol.callers import (
    AdmitCall,
    Admitted,
    DaySpend,
    NoPin,
    NotAdmitted,
    PinAccepted,
    PinRejected,
    PinStanding,
    PinState,
    Spend,
    VerifyPin,
)
from protocol.placement import Accepted
from protocol.todos import Caller, IdentifyCaller, ListTodos, TodoList
from runtime import micro
from runtime.admin import Health
from runtime.service import Shutdown
from runtime.settings import Secret
from testbed.realtime import RealtimeServer

PROFILE = """
name = "test"
numbers = ["*"]
instructions = "Be brief."
greeting = "Greet."
tools = ["get_tasks", "slow"]
time_zone = "Europe/Berlin"
tool_deadline_ms = 700
"""
SCHEMA = '{"type":"object","properties":{"period":{"type":"string"}}}'
PIN = "47110815"  # of eight digits: four may stand in any id


class Tools:
    """The tool service, and tool-runner's answers about callers."""

    def __init__(self) -> None:
        self.asked: list[micro.Request] = []
        self.todos = b'{"todos":[]}'
        self.has_pin = True
        self.admission: Admitted | NotAdmitted = Admitted(True)
        self.day_usd = 0.0
        self.tries = 3

    async def get_tasks(self, request: micro.Request) -> bytes:
        self.asked.append(request)
        return self.todos

    async def slow(self, request: micro.Request) -> bytes:
        await asyncio.sleep(1.5)  # more than the deadline
        return b"{}"

    async def identify(self, request: IdentifyCaller, _: micro.Request) -> Caller:
        return Caller("c1", request.number, "Ada", request.time_zone)

    async def list_todos(self, request: ListTodos, _: micro.Request) -> TodoList:
        return TodoList(Caller("c1", "+1", "Ada", "UTC"), date(2026, 11, 22), ())

    async def pin_state(self, _: PinState, __: micro.Request) -> PinStanding:
        return PinStanding(self.has_pin)

    async def verify(self, request: VerifyPin, _: micro.Request) -> object:
        if not self.has_pin:
            return NoPin()
        if request.digits == PIN:
            return PinAccepted("c1")
        self.tries -= 1
        return PinRejected(self.tries)

    async def admit(self, _: AdmitCall, __: micro.Request) -> object:
        return self.admission

    async def spend(self, request: Spend, _: micro.Request) -> DaySpend:
        self.day_usd += request.usd
        return DaySpend(self.day_usd)

    def endpoints(self) -> list[micro.Endpoint]:
        meta = {"description": "d", "schema": SCHEMA}
        asked = {
            "callers.identify": (IdentifyCaller, self.identify),
            "callers.pin_state": (PinState, self.pin_state),
            "callers.verify_pin": (VerifyPin, self.verify),
            "callers.admit": (AdmitCall, self.admit),
            "callers.spend": (Spend, self.spend),
            "todos.list": (ListTodos, self.list_todos),
        }
        return [
            micro.Endpoint("get_tasks", "tools.get_tasks", self.get_tasks, meta),
            micro.Endpoint("slow", "tools.slow", self.slow, meta),
            *(
                micro.Endpoint(subject.replace(".", "_"), subject, micro.json_handler(kind, work))
                for subject, (kind, work) in asked.items()
            ),
        ]


@contextlib.asynccontextmanager
async def worker(
    nats_server,
    tmp_path: Path,
    model: RealtimeServer,
    *,
    slots: int = 5,
    profile: str = "",
    **changed,
):
    """A running worker; gives its name. Drained at the end of the block. ``changed``: settings."""
    tmp_path.mkdir(exist_ok=True)
    (tmp_path / "a.toml").write_text(profile or PROFILE)
    settings = Settings(
        **{
            "nats_url": nats_server.url,
            "openai_api_key": Secret("sk-test"),
            "openai_base_url": model.base_url,
            "assistants_dir": str(tmp_path),
            "agent_worker": f"w-{tmp_path.name[-20:]}".replace("[", "").replace("]", ""),
            "agent_slots": slots,
            "agent_drain_s": 5,
            "speaker_providers": ("espeak",),
            **changed,
        }
    )
    shutdown = Shutdown()
    async with asyncio.TaskGroup() as group:
        running = group.create_task(serve(settings, shutdown, Health()))
        try:
            yield settings.agent_worker
        finally:
            shutdown.ask()
            await running


async def assigned(end: LineEnd, name: str) -> Accepted:
    """Assign the call as soon as the worker listens."""
    async with asyncio.timeout(20):
        while True:
            try:
                reply = await end.assign(name)
            except Exception:
                await asyncio.sleep(0.05)
                continue
            assert isinstance(reply, Accepted), reply
            return reply
