"""What every call of a worker shares: the connections and catalogues made once at start."""

from dataclasses import dataclass

from ai_agent.realtime.connection import Client
from ai_agent.settings import Settings
from ai_agent.speaker.speaker import Speaker
from ai_agent.toolbox import Toolbox
from protocol.ids import WorkerId
from runtime.assistants import Profiles
from runtime.bus import Bus


@dataclass(frozen=True, slots=True)
class Worker:
    """One agent process. ``name`` is its token in subjects."""

    name: WorkerId
    settings: Settings
    bus: Bus
    client: Client
    toolbox: Toolbox
    assistants: Profiles
    speaker: Speaker
