"""What the model is told of each tool: one golden a tool, as discovery shows it.

A golden changes only on purpose: the model's behaviour hangs on every word of it.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from protocol import tools
from tool_runner.endpoints import ToolEndpoints
from tool_runner.todos.tools import CATALOG

GOLDENS = Path(__file__).parent / "goldens/tools"
NAMES = ("complete_task", "create_task", "delete_task", "get_tasks")


def offered() -> dict[str, dict[str, Any]]:
    """Each tool as its endpoint's metadata carries it."""
    nothing: Any = None  # endpoints are only described here, not asked
    return {
        endpoint.name: {
            "name": endpoint.name,
            "subject": endpoint.subject,
            "description": endpoint.metadata[tools.META_DESCRIPTION],
            "parameters": json.loads(endpoint.metadata[tools.META_SCHEMA]),
        }
        for endpoint in ToolEndpoints(CATALOG, nothing, nothing).endpoints()
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_tool_is_offered_as_its_golden_says(name: str) -> None:
    assert offered()[name] == json.loads((GOLDENS / f"{name}.json").read_text())


def test_every_tool_has_a_golden_and_every_golden_a_tool() -> None:
    assert sorted(offered()) == sorted(NAMES) == sorted(path.stem for path in GOLDENS.glob("*"))


@pytest.mark.parametrize("name", NAMES)
def test_schemas_stay_in_what_realtime_takes(name: str) -> None:
    schema = offered()[name]["parameters"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert set(schema["required"]) <= set(schema["properties"])
    assert all({"type", "description"} <= set(each) for each in schema["properties"].values())
    assert "$" not in json.dumps(schema), "no references: models fill in flat schemas"
