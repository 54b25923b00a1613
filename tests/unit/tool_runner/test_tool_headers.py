"""Headers of a tool request, named SQL blocks, and settings."""

import pytest

from protocol import tools
from runtime import settings, sql
from runtime.errors import Refused, SettingsError
from tool_runner.endpoints import DEFAULT_DEADLINE_MS, MOST_DEADLINE_MS, read_head
from tool_runner.settings import Settings

GOOD = {tools.CALLER: "c1", tools.IDEMPOTENCY_KEY: "abc"}
DSN = "postgresql://u:p@h/d"


def test_headers_are_read_with_a_default_and_a_bound_for_the_deadline() -> None:
    head = read_head(GOOD)
    assert (head.caller_id, head.key, head.within_s) == ("c1", "abc", DEFAULT_DEADLINE_MS / 1000)
    assert read_head(GOOD | {tools.DEADLINE_MS: "1500"}).within_s == 1.5
    assert read_head(GOOD | {tools.DEADLINE_MS: "9" * 15}).within_s == MOST_DEADLINE_MS / 1000


@pytest.mark.parametrize("value", ["", "0", "-1", "1.5", "soon", "NaN", "1" * 5000])
def test_a_deadline_that_is_none_is_refused(value: str) -> None:
    with pytest.raises(Refused, match=tools.DEADLINE_MS):
        read_head(GOOD | {tools.DEADLINE_MS: value})


@pytest.mark.parametrize("value", ["", "a b", "a.b", "*", "x" * 129, "é"])
@pytest.mark.parametrize("name", [tools.CALLER, tools.IDEMPOTENCY_KEY])
def test_a_caller_or_key_that_is_no_token_is_refused(name: str, value: str) -> None:
    with pytest.raises(Refused, match=name):
        read_head(GOOD | {name: value})


def test_sql_blocks_are_found_by_name() -> None:
    text = "-- about\n\n-- name: one\nSELECT 1;\n\n-- name: two\n-- why\nSELECT\n  2\n"
    assert sql.parse(text) == {"one": "SELECT 1", "two": "-- why\nSELECT\n  2"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("SELECT 1;\n-- name: one\nSELECT 1;", "before the first"),
        ("-- name: one\nSELECT 1;\n-- name: one\nSELECT 2;", "two statements are named 'one'"),
        ("-- name: one\n\n-- name: two\nSELECT 2;", "'one' needs"),
        ("-- name: a b\nSELECT 2;", "'a b' needs"),
    ],
)
def test_a_broken_sql_file_fails(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        sql.parse(text)


@pytest.mark.parametrize(
    ("package", "file"),
    [
        ("runtime", "database.sql"),
        ("tool_runner", "idempotency.sql"),
        ("tool_runner.todos", "queries.sql"),
        ("tool_runner.callers", "queries.sql"),
    ],
)
def test_our_sql_files_are_well_formed(package: str, file: str) -> None:
    statements = sql.load(package, file)
    assert statements
    assert all(";" not in statement for statement in statements.values())


def test_settings_need_a_database_and_never_show_its_password() -> None:
    loaded = settings.load(Settings, {"DATABASE_URL": DSN})
    assert (loaded.tool_runner_admin_port, loaded.database_pool) == (9084, 10)
    assert DSN not in repr(loaded)
    with pytest.raises(SettingsError, match="DATABASE_URL is not set"):
        settings.load(Settings, {})
    with pytest.raises(SettingsError, match="TOOL_RUNNER_NAME cannot be used"):
        settings.load(Settings, {"DATABASE_URL": DSN, "TOOL_RUNNER_NAME": "a.b"})
