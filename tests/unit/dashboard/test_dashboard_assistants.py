"""Profiles as the page shows them: every file with what is wrong in it, how it came to its version,
and which running calls use which.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from dashboard.assistants.shelf import Shelf
from dashboard.assistants.versions import KEPT, follow, running
from dashboard.live.board import Row
from dashboard.sse import Hub
from protocol import events as e
from protocol.call import CallState
from protocol.ids import CallId, Epoch, EventId, WorkerId
from runtime import assistants

GOOD = 'name = "desk"\nnumbers = ["*"]\ngreeting = "Greet."\ninstructions = "Help."\n'
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)


def _opened(n: int, profile: str, sha256: str, *, ended: bool = False) -> Row:
    state = CallState(CallId(f"CA{n:032x}"), phase="ended" if ended else "active")
    state.session = e.SessionOpened(
        id=EventId(f"e{n}"), call_id=state.call_id, at=NOW, service="ai-agent",
        worker=WorkerId("w"), epoch=Epoch(1), generation=1, session_id="s", model="m",
        profile=profile, profile_sha256=sha256, instructions="", voice="v", language="en", tools=(),
    )  # fmt: skip
    return Row(n, state)


def test_every_file_is_read_and_what_is_wrong_is_named_by_key(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(GOOD)
    (tmp_path / "b.toml").write_text(GOOD + "vioce = 1\n")
    (tmp_path / "c.toml").write_text("name = ")
    (tmp_path / "d.toml").write_text(GOOD + 'mode = "keypad"\n')
    found = {one.file: one for one in assistants.read(tmp_path)}
    assert found["a.toml"].problems == ()
    assert [(p.key, p.reason) for p in found["b.toml"].problems] == [
        ("vioce", "there is no such key")
    ]
    assert found["b.toml"].loaded is None
    assert found["c.toml"].problems[0].reason.startswith("is no TOML")
    assert [p.key for p in found["d.toml"].problems] == ["menu", "name", "numbers"]
    assert found["d.toml"].loaded is not None, "what could be read is shown beside what is wrong"


def test_a_file_keeps_the_versions_it_had_and_for_how_long(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    versions = {}
    for n in range(KEPT + 5):
        file.write_text(GOOD + f"# {n}\n")
        versions = follow(versions, assistants.read(tmp_path), NOW + timedelta(minutes=n))
    assert len(versions["a.toml"]) == KEPT
    last = versions["a.toml"][-1]
    same = follow(versions, assistants.read(tmp_path), NOW + timedelta(days=1))
    assert same["a.toml"][-1] == last, "unchanged"
    file.write_text("name = ")
    broken = follow(same, assistants.read(tmp_path), NOW + timedelta(days=2))
    assert broken["a.toml"][-1].sha256 == ""
    assert follow(broken, (), NOW) == {}, "a file that is gone is forgotten"


def test_calls_that_go_on_are_counted_by_version() -> None:
    rows = [
        _opened(1, "desk", "aa"),
        _opened(2, "desk", "bb"),
        _opened(3, "desk", "bb"),
        _opened(4, "desk", "cc", ended=True),
        _opened(5, "night", "dd"),
        Row(6, CallState(CallId("CA6"))),
    ]
    found = running(rows)
    assert [(one.sha256, len(one.calls)) for one in found["desk"]] == [("bb", 2), ("aa", 1)]
    assert set(found) == {"desk", "night"}
    assert running([]) == {}


def test_a_folder_that_is_not_there_is_said_in_words(tmp_path: Path) -> None:
    look = Shelf(tmp_path / "nowhere", Hub()).look()
    assert look.files == ()
    assert "There is no folder" in look.missing
    assert Shelf(tmp_path, Hub()).look().missing == ""
