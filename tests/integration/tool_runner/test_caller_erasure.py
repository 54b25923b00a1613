"""``callers.forget``: everything kept of a number goes, and nothing of another's."""

from typing import Any

import pytest

from protocol.callers import (
    AdmitCall,
    Admitted,
    CallerForgotten,
    ForgetCaller,
    PinStanding,
    SetPin,
    VerifyPin,
)
from protocol.ids import CallerId, CallId, new_call_id, new_event_id
from runtime.errors import Refused

NUMBER, OTHER = "+4930123456", "+4930123457"
TABLES = ("callers", "todos", "tool_results", "caller_pins", "pin_failures", "pin_attempts")


async def fill(runner: Any, number: str) -> tuple[CallerId, CallId]:
    """A caller with a row in every table; their id and their call."""
    caller, call = await runner.caller(number), new_call_id()
    await runner.tool("create_task", {"description": "mend it", "date": "2026-12-24"}, caller)
    await runner.ask("callers.set_pin", SetPin(caller, "4711"), PinStanding)
    await runner.ask("callers.verify_pin", VerifyPin(number, call, "0000", new_event_id()), Any)
    await runner.ask("callers.admit", AdmitCall(call, number), Admitted)
    return caller, call


async def test_a_number_is_forgotten_and_its_neighbour_is_not(runner: Any) -> None:
    caller, call = await fill(runner, NUMBER)
    await fill(runner, OTHER)
    gone = await runner.ask("callers.forget", ForgetCaller(NUMBER), CallerForgotten)
    assert gone == CallerForgotten(caller, 1, 1, 1, (call,))
    for table in (*TABLES, "admitted_calls"):
        assert await runner.sql(f"SELECT count(*) FROM {table}") == 1, table
    assert await runner.sql("SELECT number FROM callers") == OTHER
    again = await runner.ask("callers.forget", ForgetCaller(NUMBER), CallerForgotten)
    assert again == CallerForgotten()
    assert await runner.caller(NUMBER) != caller, "who calls again is somebody new"


async def test_a_number_that_can_be_none_is_refused(runner: Any) -> None:
    with pytest.raises(Refused, match="the number is empty"):
        await runner.ask("callers.forget", ForgetCaller("  "), CallerForgotten)
