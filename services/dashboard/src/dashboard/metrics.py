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
