"""Metrics of tool-runner. What a bad value means stands in each help text."""

from prometheus_client import Counter, Gauge

database_up = Gauge(
    "trunkline_database_up", "1 while PostgreSQL answers; 0: tools fail until it is back"
)
tool_requests = Counter(
    "trunkline_tool_requests_total",
    "Tool requests by outcome: ok, failed (told to the model), repeated, deadline, refused, error",
    ["tool", "outcome"],
)
changes_lost = Counter(
    "trunkline_todo_changes_unpublished_total",
    "Committed changes that nobody was told of: screens are stale until reloaded",
)
