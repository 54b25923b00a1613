"""Metrics of ai-agent: how full it is, how fast it answers, what it had to give up."""

from prometheus_client import Counter, Gauge, Histogram

CALLS = Gauge("trunkline_agent_calls", "Calls that this worker holds")
SLOTS_FREE = Gauge("trunkline_agent_slots_free", "Calls that this worker may still take")
DECLINED = Counter("trunkline_agent_declined_total", "Assignments declined", ["reason"])
HANDOVERS = Counter(
    "trunkline_agent_handovers_total", "Calls offered to a successor while draining", ["outcome"]
)
SESSIONS = Gauge("trunkline_agent_sessions", "Open Realtime sessions")
SESSION_FAILED = Counter("trunkline_agent_session_failed_total", "Sessions not opened or lost")
GIVEN_UP = Counter("trunkline_agent_given_up_total", "Calls ended because the model failed")
OUTPUT_STOPPED = Counter("trunkline_agent_output_stopped_total", "Items cut by the output check")
RESPONSE_SECONDS = Histogram(
    "trunkline_response_seconds",
    "Caller stopped speaking until the first audio of the answer was heard",
    buckets=(0.2, 0.4, 0.6, 0.8, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0),
)
CLEARED_SECONDS = Histogram(
    "trunkline_barge_in_seconds",
    "Told to fall silent until ingress had cleared what the caller had not heard",
    buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0),
)
SETUP_SECONDS = Histogram(
    "trunkline_session_setup_seconds",
    "Assignment until the session is configured",
    buckets=(0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3.0, 6.0),
)
