"""The doctor's look at the assistant profiles: whether they can be used, and if not, file, key and
reason. A part of doctor.
"""

from collections.abc import Sequence
from pathlib import Path

from runtime import assistants
from runtime.assistant import Assistant
from runtime.doctor import Finding, ok, wrong
from runtime.errors import ServiceError

_PREFIX = "assistant profiles cannot be used: "


def looked_at(folder: Path) -> tuple[Sequence[Assistant], list[Finding]]:
    """The usable profiles of ``folder`` (none, if one of them is wrong) and what was found."""
    try:
        found = [loaded.assistant for loaded in assistants.load(folder).all()]
    except ServiceError as error:
        problems = str(error).removeprefix(_PREFIX).split("; ")
        remedy = "docs/assistants.md has every key; the folder is ASSISTANTS_DIR."
        return (), [wrong("assistants", f"{problem}.", remedy) for problem in problems]
    except OSError as error:
        remedy = "Correct ASSISTANTS_DIR."
        return (), [wrong("assistants", f"{folder} cannot be read: {error.strerror}.", remedy)]
    names = ", ".join(assistant.name for assistant in found)
    return found, [ok("assistants", f"The profiles in {folder} can be used: {names}.")]
