"""The gate for response.create: one at a time, exactly one after all tool outputs."""

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from ai_agent.response_gate import ResponseGate
from protocol.ids import ToolCallId

ONE, TWO = ToolCallId("call_1"), ToolCallId("call_2")


def test_a_create_waits_for_the_running_response():
    gate = ResponseGate()
    gate.created("r1")
    assert gate.want("greet") == []
    sent = gate.done("r1")
    assert [c["type"] for c in sent] == ["response.create"]
    assert sent[0]["response"]["instructions"] == "greet"
    assert gate.done("r1") == [], "one create until the next response is created"


def test_parallel_tools_give_one_create_after_the_last_output():
    gate = ResponseGate()
    gate.created("r1")
    assert gate.tool_started(ONE)
    assert gate.tool_started(TWO)
    assert not gate.tool_started(ONE), "named again by response.done"
    assert gate.done("r1") == []
    assert gate.output_sent(TWO) == []
    assert len(gate.output_sent(ONE)) == 1


def test_outputs_that_come_while_the_calling_response_still_runs_wait_for_its_end():
    gate = ResponseGate()
    gate.created("r1")
    gate.tool_started(ONE)
    assert gate.output_sent(ONE) == []
    assert len(gate.done("r1")) == 1


def test_a_response_by_vad_that_saw_the_outputs_makes_the_create_superfluous():
    gate = ResponseGate()
    gate.created("r1")
    gate.tool_started(ONE)
    gate.done("r1")
    gate.created("r2")  # the caller spoke while the tool ran
    assert gate.output_sent(ONE) == []
    gate.output_accepted(ONE)
    gate.done("r2")  # asks: r2 began before the output
    gate.created("r3")
    assert gate.done("r3") == []


def test_a_response_by_vad_that_began_after_the_outputs_answers_them():
    gate = ResponseGate()
    gate.created("r1")
    gate.tool_started(ONE)
    gate.output_sent(ONE)
    gate.output_accepted(ONE)
    gate.created("r2")
    assert gate.done("r1") == []
    assert gate.done("r2") == [], "r2 has seen the output"


def test_a_refused_create_is_sent_again_when_the_unknown_response_is_done():
    gate = ResponseGate()
    assert len(gate.want("greet")) == 1
    gate.refused()
    assert gate.want() == []
    gate.created("r1")
    sent = gate.done("r1")
    assert sent[0]["response"]["instructions"] == "greet"


class Gate(RuleBasedStateMachine):
    """Against a model that refuses a second response: it must never have to, but for its own
    VAD's races.
    """

    def __init__(self):
        super().__init__()
        self.gate = ResponseGate()
        self.running = None
        self.asked = 0
        self.tools = 0
        self.open = []
        self.count = 0

    def take(self, commands):
        for _ in commands:
            assert self.running is None, "a create while a response runs"
            self.asked += 1
        assert self.asked <= 1, "two creates without a response between"

    @rule()
    def wants(self):
        self.take(self.gate.want("x"))

    @precondition(lambda self: self.running is None)
    @rule()
    def response_begins(self):
        self.count += 1
        self.running = f"r{self.count}"
        self.asked = 0
        self.gate.created(self.running)

    @precondition(lambda self: self.running is not None)
    @rule(tools=st.integers(0, 2))
    def response_ends(self, tools):
        for _ in range(tools):
            self.tools += 1
            call = ToolCallId(f"c{self.tools}")
            assert self.gate.tool_started(call)
            self.open.append(call)
        ended, self.running = self.running, None
        self.take(self.gate.done(ended))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def tool_returns(self, data):
        call = data.draw(st.sampled_from(self.open))
        self.open.remove(call)
        self.take(self.gate.output_sent(call))
        self.gate.output_accepted(call)

    @invariant()
    def nobody_waits_for_ever(self):
        unanswered = self.gate._sent and not self.gate._running
        if unanswered and self.running is None:
            assert self.asked == 1


TestGate = Gate.TestCase


@given(st.lists(st.sampled_from(["want", "created", "done", "refused"])))
def test_no_order_of_events_makes_two_creates_in_flight(steps):
    gate, in_flight = ResponseGate(), 0
    for step in steps:
        sent = []
        if step == "want":
            sent = gate.want()
        elif step == "created":
            gate.created("r")
            in_flight = 0
        elif step == "done":
            sent = gate.done("r")
        else:
            gate.refused()
            in_flight = 0
        in_flight += len(sent)
        assert in_flight <= 1
