"""What a worker must know before it opens a session: who calls whom, the profile, the caller's
record and todos.
"""

import dataclasses
import hashlib
import hmac
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from msgspec import structs

from ai_agent import builtin_tools, prompt
from ai_agent.admission import Standing
from ai_agent.realtime.commands import CONFIG_EVENT_ID, Command, session_update
from ai_agent.worker import Worker
from protocol import subjects
from protocol.call import CallState
from protocol.errors import DecodeError
from protocol.events import OfferedTool, SessionOpened
from protocol.todos import Caller, IdentifyCaller, ListTodos, TodoList
from runtime import clock, logging
from runtime.assistant import Assistant
from runtime.assistants import LoadedAssistant
from runtime.errors import NatsAway, NoAnswer, Refused, ServiceError

_log = logging.get("brief")

RECORDS_S = 1.5
"""Seconds that the caller's record may take; the call goes on without it."""


@dataclass(frozen=True, slots=True)
class Brief:
    """Everything a session of this call is made of."""

    assistant: Assistant
    sha256: str
    model: str
    transcription_model: str
    instructions: str
    tools: tuple[OfferedTool, ...]
    caller: Caller | None
    safety_id: str
    facts: str
    """What the instructions say beside the profile's own words."""

    def session_update(self, *, event_id: str = CONFIG_EVENT_ID, answers: bool = True) -> Command:
        """The full ``session.update``. ``answers``: turns are answered."""
        return session_update(
            instructions=self.instructions,
            voice=self.assistant.voice,
            language=self.assistant.language,
            transcription_model=self.transcription_model,
            turn_detection=self.assistant.turn_detection,
            noise_reduction=self.assistant.noise_reduction,
            tools=self.tools,
            max_output_tokens=self.assistant.max_output_tokens,
            event_id=event_id,
            answers=answers,
        )

    def opened(self, session_id: str, generation: int) -> dict[str, Any]:
        """Fields of ``session_opened``."""
        return {
            "generation": generation,
            "session_id": session_id,
            "model": self.model,
            "profile": self.assistant.name,
            "profile_sha256": self.sha256,
            "instructions": self.instructions,
            "voice": self.assistant.voice,
            "language": self.assistant.language,
            "tools": self.tools,
        }


def profile(worker: Worker, called: str, before: SessionOpened | None = None) -> LoadedAssistant:
    """The profile that answers a called number, or that the session ``before`` ran under, if that
    is still there. Raises ServiceError when there is none.
    """
    loaded = None if before is None else worker.assistants.newest(before.profile)
    loaded = loaded or worker.assistants.answering(called)
    if loaded is None:
        raise ServiceError("no assistant profile answers the called number")
    return loaded


async def prepare(
    worker: Worker, state: CallState, loaded: LoadedAssistant, standing: Standing
) -> Brief:
    """Look the caller up and put together what a session of this call is made of."""
    assistant, settings = loaded.assistant, worker.settings
    caller, listed = None, None
    if standing.kind == "known":
        caller, listed = await _records(worker, state.caller, assistant.time_zone)
    zone = caller.time_zone if caller is not None else assistant.time_zone
    today = (
        listed.today if listed is not None else clock.utc_now().astimezone(ZoneInfo(zone)).date()
    )
    facts = prompt.instructions(
        "",
        today=today,
        time_zone=zone,
        caller=caller,
        todos=listed.todos if listed is not None else (),
    ).strip()
    brief = Brief(
        assistant=assistant,
        sha256=loaded.sha256,
        model=assistant.model or settings.openai_model,
        transcription_model=assistant.transcription_model or settings.openai_transcription_model,
        instructions=instructions(assistant.instructions, facts),
        tools=offered(worker, assistant),
        caller=caller,
        safety_id=_safety_id(settings.openai_api_key.reveal(), state.caller),
        facts=facts,
    )
    return brief if state.session is None else _as_before(brief, state.session)


def _as_before(brief: Brief, before: SessionOpened) -> Brief:
    """A call that goes on keeps its voice, its tools and what it was told, whatever its profile
    says by now.
    """
    assistant = structs.replace(brief.assistant, voice=before.voice, language=before.language)
    return dataclasses.replace(
        brief,
        assistant=assistant,
        sha256=before.profile_sha256,
        model=before.model,
        instructions=before.instructions,
        tools=before.tools,
    )


def instructions(words: str, facts: str) -> str:
    """The instructions of a session: a profile's own ``words`` and the ``facts`` of the call."""
    return f"{words.strip()}\n\n{facts}"


def offered(worker: Worker, assistant: Assistant) -> tuple[OfferedTool, ...]:
    """The tools that a profile gives the model: those served of its list, and our own."""
    return (*worker.toolbox.offered(_served(assistant)), *builtin_tools.offered(assistant))


def _served(assistant: Assistant) -> tuple[str, ...]:
    return tuple(name for name in assistant.tools if name not in builtin_tools.NAMES)


async def _records(
    worker: Worker, number: str, time_zone: str
) -> tuple[Caller | None, TodoList | None]:
    """The caller's record and open todos; None for what cannot be had in time (tools then fail
    honestly).
    """
    caller: Caller | None = None
    try:
        found: Caller = await worker.bus.request(
            subjects.callers("identify"),
            IdentifyCaller(number, time_zone),
            Caller,
            timeout=RECORDS_S,
        )
        caller = found
        listed: TodoList = await worker.bus.request(
            subjects.todos("list"), ListTodos(found.caller_id), TodoList, timeout=RECORDS_S
        )
    except (NoAnswer, NatsAway, Refused, DecodeError) as error:
        _log.warning("caller's records not had", kind=type(error).__name__)
        return caller, None
    return caller, listed


def _safety_id(key: str, number: str) -> str:
    """A stable id of the person for OpenAI, from which the number cannot be found without our
    key.
    """
    return hmac.digest(key.encode(), number.encode(), hashlib.sha256).hex()[:32]
