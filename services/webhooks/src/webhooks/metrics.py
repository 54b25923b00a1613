"""What webhooks counts. Every label value comes from a fixed set, never from a request."""

from prometheus_client import Counter, Histogram

requests = Counter(
    "trunkline_webhooks_requests_total", "Twilio requests answered", ["endpoint", "status"]
)
request_seconds = Histogram(
    "trunkline_webhooks_request_seconds",
    "Seconds from the end of the request's head to the answer",
    ["endpoint"],
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15),
)
refused = Counter(
    "trunkline_webhooks_refused_total", "Requests refused before they were handled", ["reason"]
)
stream_callbacks = Counter(
    "trunkline_webhooks_stream_callbacks_total", "Stream status callbacks by event", ["event"]
)
decisions = Counter(
    "trunkline_webhooks_decisions_total", "What was decided when a stream had ended", ["decision"]
)
lost_legs = Counter(
    "trunkline_webhooks_lost_legs_total",
    "What was done for a call whose stream was in no heartbeat any more",
    ["done"],
)
log_away = Counter(
    "trunkline_webhooks_log_away_total",
    "Requests answered without the log because it did not answer in time",
    ["endpoint"],
)
# Known from the beginning, at 0: Prometheus does not see the first step of a series that begins
# with it.
for _endpoint in ("amd", "dial-ended", "status", "stream-ended", "voice"):
    log_away.labels(_endpoint)
rest = Counter(
    "trunkline_webhooks_twilio_requests_total", "REST requests to Twilio", ["request", "outcome"]
)
placed = Counter("trunkline_webhooks_placed_total", "Answers to calls.place", ["outcome"])
