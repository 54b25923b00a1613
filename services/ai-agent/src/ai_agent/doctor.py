"""``python -m ai_agent.doctor``: looks at what ai-agent needs: its key, a session for each profile,
NATS, and the tools that profiles name.

A session is configured as for a call and closed before any audio: it costs nothing.
"""

from collections.abc import Sequence
from pathlib import Path

from ai_agent import builtin_tools
from ai_agent.realtime.commands import session_update
from ai_agent.realtime.connection import SessionFailed, client, connected
from ai_agent.settings import Settings
from ai_agent.toolbox import Toolbox
from protocol.buckets import SPEECH
from protocol.streams import CALLS
from runtime import doctor, doctor_nats, doctor_profiles
from runtime.assistant import Assistant
from runtime.bus import Bus
from runtime.doctor import Check, Finding, note, ok, wrong

OPEN_S = 5.0
SAFETY_ID = "doctor"
ASKS = 2
"""Times that everybody is asked for tools: a service that is busy may miss one."""


def main() -> int:
    """0: nothing is wrong, 1: something is."""
    return doctor.run("ai-agent", Settings, checks)


def checks(settings: Settings) -> list[Check]:
    """All of ai-agent's."""
    profiles, found = doctor_profiles.looked_at(Path(settings.assistants_dir))

    async def files() -> list[Finding]:
        return [*shape(settings), *found]

    async def tools(bus: Bus) -> Sequence[Finding]:
        toolbox, names = Toolbox(bus), set[str]()
        for _ in range(ASKS):
            await toolbox.refresh()
            names |= toolbox.names()
        return offered(profiles, names)

    streams = {CALLS.name: "webhooks", f"OBJ_{SPEECH.name}": ""}
    distinct = {_kind(settings, each): each for each in profiles}
    return [
        Check("settings", files),
        *(Check("openai", _Session(settings, each).look) for each in distinct.values()),
        doctor_nats.check(settings, "ai-agent", streams, tools),
    ]


def shape(settings: Settings) -> list[Finding]:
    """A key that is set and looks like no key."""
    key = settings.openai_api_key.reveal()
    if settings.openai_base_url or (key.startswith("sk-") and len(key) > 30):
        return []
    says = "OPENAI_API_KEY does not look like a key of OpenAI's (sk-...)."
    return [note("settings", says, "Copy it again from the API keys page.")]


def offered(profiles: Sequence[Assistant], names: set[str]) -> list[Finding]:
    """Whether somebody serves what the profiles name."""
    findings: list[Finding] = []
    for each in profiles:
        lacks = [t for t in each.tools if t not in names | builtin_tools.NAMES]
        if lacks:
            says = f"Nobody serves {', '.join(lacks)}, which {each.name} names."
            remedy = "Start its tool service on this NATS, or take it out of the profile."
            findings.append(wrong("tools", says, remedy))
        else:
            findings.append(ok("tools", f"Every tool of {each.name} is served."))
    return findings


class _Session:
    """The session that a profile's calls would have, without its tools."""

    def __init__(self, settings: Settings, assistant: Assistant) -> None:
        self._settings = settings
        self._assistant = assistant

    async def look(self) -> list[Finding]:
        """Open it, configure it, close it."""
        settings, assistant = self._settings, self._assistant
        model, transcription = _kind(settings, assistant)[:2]
        update = session_update(
            instructions=assistant.instructions,
            voice=assistant.voice,
            language=assistant.language,
            transcription_model=transcription,
            turn_detection=assistant.turn_detection,
            noise_reduction=assistant.noise_reduction,
            tools=(),
            max_output_tokens=assistant.max_output_tokens,
        )
        try:
            async with (
                client(settings.openai_api_key.reveal(), settings.openai_base_url) as openai,
                connected(openai, model=model, safety_id=SAFETY_ID, timeout=OPEN_S) as session,
            ):
                await session.configure(update, timeout=OPEN_S)
        except SessionFailed as error:
            return [refused(assistant.name, model, error.reason)]
        says = f"A Realtime session of {model} with {assistant.name}'s voice and settings opens."
        return [ok("openai", says)]


def refused(profile: str, model: str, reason: str) -> Finding:
    """What a session that does not open means."""
    says = f"The session of {profile} does not open: {reason}."
    if "HTTP 401" in reason:
        remedy = "Correct OPENAI_API_KEY."
    elif "HTTP 403" in reason or "HTTP 404" in reason or "model" in reason:
        remedy = f"Correct the model ({model}), or give the key's project access to it."
    elif "HTTP 429" in reason or "quota" in reason:
        remedy = "Look at the project's limits and credit at OpenAI."
    elif "connect" in reason:
        remedy = "Look at this machine's way to OpenAI, and at OPENAI_BASE_URL."
    else:
        remedy = "Compare the profile with docs/assistants.md and OPENAI_* with .env.example."
    return wrong("openai", says, remedy)


def _kind(settings: Settings, assistant: Assistant) -> tuple[str, str, str]:
    """What makes one profile's session another than the next one's."""
    return (
        assistant.model or settings.openai_model,
        assistant.transcription_model or settings.openai_transcription_model,
        assistant.voice,
    )


if __name__ == "__main__":
    raise SystemExit(main())
