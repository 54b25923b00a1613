"""A brief that is changed in mid-call: other instructions and tools, everything else as it was."""

import dataclasses

from msgspec import structs

from ai_agent import builtin_tools, call_brief
from ai_agent.call_brief import Brief
from ai_agent.worker import Worker
from protocol import commands
from protocol.commands import Refused, UpdateSession


async def revised(worker: Worker, brief: Brief, wanted: UpdateSession) -> Brief | Refused:
    """``brief`` as ``wanted``, or why not. Asks for tools anew when one is not known."""
    too_long = _too_long(wanted)
    if too_long is not None:
        return too_long
    if not wanted.reload and wanted.instructions is None and wanted.tools is None:
        return Refused("nothing_asked", "neither reload nor instructions nor tools were given")
    assistant, sha256 = brief.assistant, brief.sha256
    words, names = assistant.instructions, assistant.tools
    if wanted.reload:
        loaded = worker.assistants.newest(assistant.name)
        if loaded is None:
            return Refused("no_profile", f"there is no profile {assistant.name!r} any more")
        words, names, sha256 = loaded.assistant.instructions, loaded.assistant.tools, loaded.sha256
    words = words if wanted.instructions is None else wanted.instructions
    names = names if wanted.tools is None else tuple(dict.fromkeys(wanted.tools))
    unknown = await _unknown(worker, brief, names)
    if unknown:
        return Refused("unknown_tool", f"nobody serves {', '.join(unknown)}")
    assistant = structs.replace(assistant, instructions=words, tools=names)
    return dataclasses.replace(
        brief,
        assistant=assistant,
        sha256=sha256,
        instructions=call_brief.instructions(words, brief.facts),
        tools=call_brief.offered(worker, assistant),
    )


def _too_long(wanted: UpdateSession) -> Refused | None:
    for name, value, most in (
        ("by", wanted.by, commands.BY_MAX),
        ("instructions", wanted.instructions or "", commands.INSTRUCTIONS_MAX),
        ("tools", wanted.tools or (), commands.TOOLS_MAX),
    ):
        if len(value) > most:
            return Refused("too_long", f"{name} is longer than {most}")
    return None


async def _unknown(worker: Worker, brief: Brief, names: tuple[str, ...]) -> list[str]:
    """Those of ``names`` that nobody serves; a built-in one counts where the profile allows it."""
    built_in = {tool.name for tool in builtin_tools.offered(brief.assistant)}
    wanted = [name for name in names if name not in built_in]
    if set(wanted) - worker.toolbox.names():
        await worker.toolbox.refresh()
    return [name for name in wanted if name not in worker.toolbox.names()]
