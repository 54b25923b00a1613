"""docs/assistants.md: every key of a profile with type, default, meaning and an example that is
true.
"""

import importlib.util
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta, Struct

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def generate():
    spec = importlib.util.spec_from_file_location("generate", ROOT / "scripts/generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_has_what_the_code_says(generate):
    text = (ROOT / generate.PROFILE_PAGE).read_text("utf-8")
    made = generate.profile_tables(generate.profile())
    assert f"{generate.PROFILE_START}\n{made}\n{generate.PROFILE_END}" in text, "make generate"


def test_every_key_of_the_profile_is_there(generate):
    found = {t.header: {key.name for key in t.keys} for t in generate.profile()}
    assert {"name", "numbers", "instructions", "mode", "tool_deadline_ms"} <= found[""]
    assert {"[pin]", "[[menu]]", "[transfer]", "[silence]", "[limits]", "[prices]"} <= set(found)
    assert {"key", "label", "tool", "arguments", "empty"} <= found["[[menu]]"]


def test_every_key_says_what_it_means(generate):
    keys = [(t.header, key) for t in generate.profile() for key in t.keys]
    assert [(header, key.name) for header, key in keys if not key.meaning or not key.kind] == []


def test_every_example_and_default_is_toml_that_the_profile_accepts(generate):
    for table in generate.profile():
        for key in table.keys:
            shown = [key.example] + ([key.default] if key.default else [])
            for text in shown:
                value = tomllib.loads(f"x = {text}")["x"]
                msgspec.convert(value, key.hint)


def test_a_change_of_a_key_is_noticed(generate, tmp_path, capsys):
    generate.main([], tmp_path)
    page = tmp_path / generate.PROFILE_PAGE
    assert generate.main(["--check"], tmp_path) == 0
    page.write_text(page.read_text("utf-8").replace("digit_timeout_s", "digit_time_s"), "utf-8")
    assert generate.main(["--check"], tmp_path) == 1
    assert "assistants.md is out of date" in capsys.readouterr().err


class Inner(Struct, frozen=True):
    """What is inside, ``so``."""

    word: Literal["a", "b"] = "a"


class Outer(Struct):
    size: Annotated[int, Meta(ge=1, le=9, description="how | big", examples=[3])]
    on: Annotated[bool, Meta(description="on")] = False
    inner: Inner = Inner()
    inners: tuple[Inner, ...] = ()


def test_how_a_struct_becomes_tables(generate):
    assert generate.profile_tables(generate.profile(Outer)) == "\n".join(
        [
            "| key | type | default | meaning | example |",
            "|---|---|---|---|---|",
            r"| `size` | whole number from 1 to 9 | **required** | how \| big | `size = 3` |",
            "| `on` | `true`, `false` | `false` | on | `on = true` |",
            "",
            "### `[inner]`",
            "",
            "What is inside, `so`.",
            "",
            "| key | type | default | meaning | example |",
            "|---|---|---|---|---|",
            '| `word` | `"a"`, `"b"` | `"a"` |  | `word = "b"` |',
            "",
            "### `[[inners]]`",
            "",
            "What is inside, `so`.",
            "",
            "| key | type | default | meaning | example |",
            "|---|---|---|---|---|",
            '| `word` | `"a"`, `"b"` | `"a"` |  | `word = "b"` |',
        ]
    )
