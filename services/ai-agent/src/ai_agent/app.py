"""Composition root of ai-agent: settings -> bus -> tools -> assignments -> drain."""

from importlib.metadata import version
from pathlib import Path

from ai_agent.assignment import Assignments
from ai_agent.realtime.connection import client
from ai_agent.settings import Settings
from ai_agent.speaker import speaker
from ai_agent.toolbox import Toolbox
from ai_agent.wanted_tools import WantedTools
from ai_agent.worker import Worker
from protocol.ids import worker_id
from runtime import assistants, bus, logging
from runtime.admin import Health
from runtime.names import process_name
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.tasks import Tasks

_log = logging.get("app")


async def serve(settings: Settings, shutdown: Shutdown, health: Health) -> None:
    """Hold calls until asked to stop, then drain."""
    name = worker_id(settings.agent_worker or process_name("agent"))
    profiles = assistants.Profiles(Path(settings.assistants_dir))
    async with (
        bus.connect(settings, f"ai-agent/{name}", shutdown) as nats,
        client(settings.openai_api_key.reveal(), settings.openai_base_url) as openai,
        speaker.running(settings, nats, openai) as spoken,
        Tasks("agent") as tasks,
    ):
        health.add("nats", lambda: nats.connected)
        await provision(nats, wait_s=settings.startup_wait_s, shutdown=shutdown)
        toolbox = Toolbox(nats)
        wanted = WantedTools(profiles)
        await wanted.wait(toolbox, wait_s=settings.startup_wait_s, shutdown=shutdown)
        tasks.spawn(toolbox.follow(wanted.names), "toolbox")
        worker = Worker(name, settings, nats, openai, toolbox, profiles, spoken)
        assignments = Assignments(worker, tasks, build=version("ai-agent"))
        async with assignments.asked():
            tasks.spawn(assignments.announce(), "announce")
            health.started()
            _log.info("serving", worker=name, slots=settings.agent_slots)
            await shutdown.wait()
            await assignments.drain(settings.agent_drain_s)
