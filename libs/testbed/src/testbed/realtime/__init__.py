"""A simulated OpenAI Realtime server (GA, WebSocket), for tests and for running without keys.

Exact tests script the model (see `script`):

    script = Script(
        expect("session.update"),
        OnResponse(Say("Hello, how can I help?", audio_ms=1_200)),    # greeting on response.create
        OnSpeech("what do I have today", CallTool("get_tasks", {"period": "today"})),
        expect_output(where=lambda result: result["todos"] == []),
        OnResponse(Say("Nothing today.")),
        expect_truncate(0, 400),
    )
    async with RealtimeServer(Scripts(script)) as server:              # one script a session
        client = AsyncOpenAI(base_url=server.base_url, api_key="any")
        ...
        await script.finished()                               # AssertionError names the step

Parts of an answer: Say, CallTool, Fail, Incomplete, Pause, Emit, Drop. Steps: expect...,
OnResponse, OnSpeech, AnyOrder(...), Emit, Drop. `tone(text, ms)` is what the caller must hear for
Say(text), `position_ms(text, excerpt)` tells which ms of it an excerpt is.
Faults: server.faults.refuse_upgrades, server.habits.answer_in_text / lifetime_s / pace, and on
each server.connections[n]: stall(), resume(), drop(code or None), expire(), received, sent,
close_code.

The local voice model is `planner_mind` (extra `testbed[voice]`), `python -m testbed.realtime`.
"""

from testbed.realtime.connection import Connection
from testbed.realtime.host import Habits
from testbed.realtime.minds import (
    CallTool,
    Drop,
    Emit,
    Fail,
    Incomplete,
    Mind,
    Part,
    Pause,
    Request,
    Say,
)
from testbed.realtime.script import Script, Scripts
from testbed.realtime.server import RealtimeServer
from testbed.realtime.steps import (
    AnyOrder,
    OnResponse,
    OnSpeech,
    expect,
    expect_output,
    expect_truncate,
)
from testbed.realtime.tones import position_ms, tone

__all__ = [
    "AnyOrder",
    "CallTool",
    "Connection",
    "Drop",
    "Emit",
    "Fail",
    "Habits",
    "Incomplete",
    "Mind",
    "OnResponse",
    "OnSpeech",
    "Part",
    "Pause",
    "RealtimeServer",
    "Request",
    "Say",
    "Script",
    "Scripts",
    "expect",
    "expect_output",
    "expect_truncate",
    "position_ms",
    "tone",
]
