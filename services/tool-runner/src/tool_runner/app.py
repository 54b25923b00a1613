"""The composition root of tool-runner: database and bus in, three services out."""

from runtime import bus as nats
from runtime import logging, micro
from runtime.admin import Health
from runtime.names import process_name
from runtime.service import Shutdown
from runtime.tasks import Tasks
from tool_runner import database
from tool_runner.admission.door import Door
from tool_runner.callers.directory import Directory
from tool_runner.callers.erasure import Erasure
from tool_runner.endpoints import ToolEndpoints
from tool_runner.forgetting import forgetting
from tool_runner.pins.gate import Gate
from tool_runner.pins.hasher import hashing
from tool_runner.settings import Settings
from tool_runner.spend.ledger import Ledger
from tool_runner.todos.planner import Planner
from tool_runner.todos.tools import CATALOG

_log = logging.get("app")


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Answer ``tools.*``, ``todos.*`` and ``callers.*`` until asked to stop, then finish what is
    in work.
    """
    name = settings.tool_runner_name or process_name("tool-runner")
    async with (
        database.connect(
            settings.database_url,
            size=settings.database_pool,
            wait_s=settings.startup_wait_s,
            shutdown=shutdown,
        ) as db,
        nats.connect(settings, f"tool-runner/{name}", shutdown) as bus,
        hashing() as hasher,
        Tasks("tool-runner") as tasks,
    ):
        health.add("database", lambda: db.up)
        health.add("nats", lambda: bus.connected)
        tasks.spawn(db.watch(), "watch")
        tasks.spawn(forgetting(db, settings.tool_results_days), "forget")
        directory, gate, door, ledger = Directory(db), Gate(db, hasher), Door(db, bus), Ledger(db)
        async with (
            door.watching(),
            micro.serving(
                bus,
                name="tools",
                description="Tools that an assistant calls for its caller",
                endpoints=ToolEndpoints(CATALOG, db, bus).endpoints(),
            ),
            micro.serving(
                bus,
                name="todos",
                description="The planner: todos of a caller",
                endpoints=Planner(db, bus).endpoints(),
            ),
            micro.serving(
                bus,
                name="callers",
                description="Callers by number: records, PINs, admission, spend",
                endpoints=[
                    *directory.endpoints(),
                    *Erasure(db).endpoints(),
                    *gate.endpoints(),
                    *door.endpoints(),
                    *ledger.endpoints(),
                ],
            ),
        ):
            _log.info("serving", worker=name, tools=[tool.name for tool in CATALOG])
            health.started()
            await shutdown.wait()
