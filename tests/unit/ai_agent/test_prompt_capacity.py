"""Instructions of a session, and the slots of a worker."""

from datetime import date

from ai_agent import prompt
from ai_agent.capacity import Capacity
from protocol.ids import CallerId, WorkerId, new_call_id
from protocol.todos import Caller, Todo


def test_instructions_hold_the_date_and_the_open_todos():
    caller = Caller(CallerId("c1"), "+15550100001", "Ada", "Europe/Berlin")
    todos = [Todo(i, f"thing {i}", date(2026, 11, 24)) for i in range(25)]
    text = prompt.instructions(
        "Be kind.", today=date(2026, 11, 22), time_zone="Europe/Berlin", caller=caller, todos=todos
    )
    assert text.startswith("Be kind.")
    assert "Today is Sunday 2026-11-22 in the caller's time zone (Europe/Berlin)." in text
    assert "Ada" in text
    assert "id 7, due 2026-11-24: thing 7" in text
    assert "and 5 more" in text
    assert "+1555" not in text, "the number is not the model's business"


def test_slots_are_counted_by_call_and_a_draining_worker_takes_nothing():
    capacity = Capacity(2)
    one, two, three = new_call_id(), new_call_id(), new_call_id()
    assert capacity.take(one) is None
    assert capacity.take(one) == "taken"
    assert capacity.take(two) is None
    assert capacity.take(three) == "full"
    capacity.release(one)
    assert capacity.load(WorkerId("w"), "1").free == 1
    capacity.draining = True
    assert capacity.take(three) == "draining"
    assert capacity.load(WorkerId("w"), "1").free == 0
