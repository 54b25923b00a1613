"""The dashboard's metrics."""

from prometheus_client import Counter, Gauge

browsers = Gauge("trunkline_dashboard_browsers", "Browsers that listen for changes right now")
browsers_cut_off = Counter(
    "trunkline_dashboard_browsers_cut_off_total",
    "Browsers cut off because they read too slowly; they connect again and get the whole state",
)
calls_shown = Gauge("trunkline_dashboard_calls", "Calls that the board holds, by phase", ["phase"])
changes_refused = Counter(
    "trunkline_dashboard_requests_refused_total",
    "Requests refused because of their Host, Origin or Sec-Fetch-Site header",
    ["reason"],
)
logins = Counter(
    "trunkline_dashboard_logins_total",
    "Log-ins by outcome: password, link, wrong, used_link, waiting (slowed down after failures)",
    ["outcome"],
)
history_events = Counter(
    "trunkline_history_events_total",
    "Events taken into the history: new, repeated (came before), skipped (no event), strange "
    "(kept, but of a version that this one cannot read)",
    ["result"],
)
history_waiting = Gauge(
    "trunkline_history_waiting", "Calls with events that the history does not show yet"
)
history_failures = Counter(
    "trunkline_history_failures_total", "Calls whose events could not be worked out into rows"
)
history_removed = Counter("trunkline_history_removed_total", "Calls removed for their age")
acts = Counter(
    "trunkline_dashboard_acts_total",
    "Acts of operators on running calls, by act and whether it was done",
    ["act", "outcome"],
)
listeners = Gauge("trunkline_dashboard_listeners", "Operators who listen to a call right now")
speakers = Gauge("trunkline_dashboard_speakers", "Operators who speak to a caller right now")
listeners_cut_off = Counter(
    "trunkline_dashboard_listeners_cut_off_total",
    "Listening browsers cut off because they took the sound too slowly",
)
