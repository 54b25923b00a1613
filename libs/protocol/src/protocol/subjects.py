"""Every NATS subject of Trunkline as a function or constant: the only place where subjects are
spelled.

The table with payloads, writers and readers is in ARCHITECTURE.md. Arguments are ids (see
protocol.ids), already checked; nothing here validates again, because some functions run once per
audio frame's set-up.
"""

from protocol.ids import CallerId, CallId, Epoch, IngressId, Leg, WorkerId

# The log. Writers publish on LOG with an ack; everybody else listens on EVENT, which the stream
# republishes.
ALL_LOGS = "call.*.log.*"
ALL_EVENTS = "call.*.event.*"


def log(call: CallId, name: str) -> str:
    """Where the one writer of ``name`` publishes it, with ack, into stream CALLS."""
    return f"call.{call}.log.{name}"


def call_log(call: CallId) -> str:
    """Filter for everything the log holds of one call."""
    return f"call.{call}.log.*"


def event(call: CallId, name: str) -> str:
    """Where the stream republishes an accepted event; nobody else publishes there."""
    return f"call.{call}.event.{name}"


def all_logs(name: str) -> str:
    """Filter for everything the log holds of one name, over all calls."""
    return f"call.*.log.{name}"


def all_events(name: str) -> str:
    """The accepted events of one name, over all calls, live."""
    return f"call.*.event.{name}"


def call_events(call: CallId) -> str:
    """All accepted events of one call, live."""
    return f"call.{call}.event.*"


# The line, caller to agent.
def line_in(call: CallId, leg: Leg) -> str:
    """Everything that ingress says about one leg: audio, clock, dtmf, heard, cleared."""
    return f"call.{call}.in.{leg}.*"


def in_audio(call: CallId, leg: Leg) -> str:
    return f"call.{call}.in.{leg}.audio"


def in_clock(call: CallId, leg: Leg) -> str:
    return f"call.{call}.in.{leg}.clock"


def in_dtmf(call: CallId, leg: Leg) -> str:
    return f"call.{call}.in.{leg}.dtmf"


def in_heard(call: CallId, leg: Leg) -> str:
    return f"call.{call}.in.{leg}.heard"


def in_cleared(call: CallId, leg: Leg) -> str:
    return f"call.{call}.in.{leg}.cleared"


# The line, agent to caller.
def line_out(call: CallId) -> str:
    """What any holder of the call says to the caller; ingress obeys the highest epoch it has
    seen.
    """
    return f"call.{call}.out.*.*"


def out_item(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.item"


def out_audio(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.audio"


def out_done(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.done"


def out_clear(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.clear"


def out_end(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.end"


# Screens and steering.
ALL_LIVE_TRANSCRIPTS = "call.*.live.transcript"


def live_transcript(call: CallId) -> str:
    return f"call.{call}.live.transcript"


def command(call: CallId) -> str:
    return f"call.{call}.command"


def operator_audio(call: CallId) -> str:
    return f"call.{call}.operator.audio"


# The ear: what was really said and heard.
def out_ear(call: CallId, epoch: Epoch) -> str:
    return f"call.{call}.out.{epoch}.ear"


ALL_LISTEN = "call.*.listen"


def listen(call: CallId) -> str:
    return f"call.{call}.listen"


def ear(call: CallId, track: str) -> str:
    """Live audio of a track. Published here where nothing is recorded, else on ``recording``."""
    return f"call.{call}.ear.{track}"


def call_ear(call: CallId) -> str:
    """Both tracks, live."""
    return f"call.{call}.ear.*"


ALL_RECORDINGS = "call.*.recording.*"


def recording(call: CallId, track: str) -> str:
    """Where a recorded call's track goes: into stream RECORDINGS, which republishes it as
    ``ear``.
    """
    return f"call.{call}.recording.{track}"


def call_recording(call: CallId) -> str:
    """Filter for everything that is recorded of one call."""
    return f"call.{call}.recording.*"


# Placement.
AGENTS_LOAD = "agents.load"


def agent_assign(worker: WorkerId) -> str:
    return f"agent.{worker}.assign"


def agent_attach(worker: WorkerId) -> str:
    return f"agent.{worker}.attach"


def agent_prepare(worker: WorkerId) -> str:
    return f"agent.{worker}.prepare"


def agent_ping(worker: WorkerId) -> str:
    return f"agent.{worker}.ping"


def ingress_replay(ingress: IngressId) -> str:
    return f"ingress.{ingress}.replay"


def ingress_close(ingress: IngressId) -> str:
    return f"ingress.{ingress}.close"


ALL_INGRESS_ALIVE = "ingress.*.alive"


def ingress_alive(ingress: IngressId) -> str:
    return f"ingress.{ingress}.alive"


# Services (NATS service API, ADR-32).
TOOLS = "tools"


def tool(name: str) -> str:
    return f"tools.{name}"


def todos(verb: str) -> str:
    return f"todos.{verb}"


def callers(verb: str) -> str:
    return f"callers.{verb}"


ALL_TODO_CHANGES = "todo.*.changed"


def calls(verb: str) -> str:
    return f"calls.{verb}"


def todo_changed(caller: CallerId) -> str:
    return f"todo.{caller}.changed"


def parse_call(subject: str) -> tuple[CallId, str, str]:
    """``call.<id>.<area>.<rest>`` as (call id, area, rest), for handlers of wildcard
    subscriptions.
    """
    _, call, area, rest = subject.split(".", 3)
    return CallId(call), area, rest
