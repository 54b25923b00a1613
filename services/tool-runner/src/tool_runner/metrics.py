"""Metrics of tool-runner. What a bad value means stands in each help text."""

from prometheus_client import Counter

from tool_runner.pins.rules import LOCKS_S

tool_requests = Counter(
    "trunkline_tool_requests_total",
    "Tool requests by outcome: ok, failed (told to the model), repeated, deadline, refused, error",
    ["tool", "outcome"],
)
changes_lost = Counter(
    "trunkline_todo_changes_unpublished_total",
    "Committed changes that nobody was told of: screens are stale until reloaded",
)
pin_verdicts = Counter(
    "trunkline_pin_verdicts_total",
    "Answers to PIN guesses: accepted, rejected, locked, none (the number has no PIN); many "
    "rejected and locked ones: somebody guesses",
    ["verdict"],
)
pin_lockouts = Counter(
    "trunkline_pin_lockouts_total",
    "Lock-outs of a number by their length; many of 3600 s: one number is under attack",
    ["seconds"],
)
# Known from the beginning, at 0: Prometheus does not see the first step of a series that begins
# with it.
for _seconds in LOCKS_S:
    pin_lockouts.labels(str(_seconds))
admissions_refused = Counter(
    "trunkline_admissions_refused_total",
    "Calls refused by the bounds of their number: at_once, a_day; rising without an attack: "
    "the profile's bounds are too tight",
    ["reason"],
)
