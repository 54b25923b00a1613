"""Metrics of stream-ingress. The audio path adds to a plain Tally, flushed once a second; the
rest counts directly.
"""

from prometheus_client import Counter, Gauge, Histogram

legs_open = Gauge("trunkline_ingress_legs", "Media sockets that carry a call now")
slots = Gauge("trunkline_ingress_slots", "Calls this process carries at once")
upgrades = Counter(
    "trunkline_ingress_upgrades_total", "Upgrade requests by what became of them", ["outcome"]
)
refused = Counter(
    "trunkline_ingress_refused_total", "Sockets ended for bad input or a bad token", ["reason"]
)
ended = Counter("trunkline_ingress_legs_ended_total", "Legs by how they ended", ["reason"])
asked = Counter("trunkline_ingress_assign_total", "Workers asked to take a call", ["answer"])
lost = Counter(
    "trunkline_ingress_lost_total", "Calls whose worker was found to be dead, by the sign", ["loss"]
)
attached = Counter(
    "trunkline_ingress_attach_total", "Holders asked to go on with a new leg", ["answer"]
)
moved_ms = Histogram(
    "trunkline_ingress_moved_ms",
    "ms from noticing that a call's worker is lost until another held it",
    buckets=(25, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000),
)
placed_ms = Histogram(
    "trunkline_ingress_placed_ms",
    "ms from the start of a leg until an agent held it",
    buckets=(25, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000),
)
# Known from the beginning, at 0: Prometheus does not see the first step of a series that begins
# with it.
for _loss in ("gone", "silent", "lost", "stuck"):
    lost.labels(_loss)
for _reason in ("stop", "closed", "lost", "refused"):
    ended.labels(_reason)

_blocks = Counter(
    "trunkline_ingress_ear_blocks_total",
    "Blocks of 200 ms of both tracks of a call: kept in a recording, shown to who listens, lost "
    "for a recording because NATS was away or the stream refused it",
    ["fate"],
)
blocks_kept, blocks_shown, blocks_lost = map(_blocks.labels, ("kept", "shown", "lost"))

_frames_in = Counter("trunkline_ingress_frames_in_total", "Audio messages from callers")
_frames_out = Counter("trunkline_ingress_frames_out_total", "Audio messages to callers")
_bytes_out = Counter("trunkline_ingress_audio_out_bytes_total", "Bytes of audio to callers")
_gaps = Counter("trunkline_ingress_line_gaps_total", "Jumps of Twilio's media clock")
_dropped_in = Counter("trunkline_ingress_dropped_in_total", "Caller frames dropped: NATS away")
_stale_out = Counter(
    "trunkline_ingress_stale_out_total", "Messages of a worker that no longer holds the call"
)
_dropped_out = Counter(
    "trunkline_ingress_dropped_out_total", "Agent audio dropped: of no item, or of a finished one"
)


class Tally:
    """Counts of the audio path of all legs, flushed once a second: an increment must be cheap."""

    __slots__ = (
        "bytes_out",
        "dropped_in",
        "dropped_out",
        "frames_in",
        "frames_out",
        "gaps",
        "stale_out",
    )

    def __init__(self) -> None:
        self.frames_in = self.frames_out = self.bytes_out = 0
        self.gaps = self.dropped_in = self.stale_out = self.dropped_out = 0

    def flush(self) -> None:
        """Add what was counted to the metrics and begin again at 0."""
        _frames_in.inc(self.frames_in)
        _frames_out.inc(self.frames_out)
        _bytes_out.inc(self.bytes_out)
        _gaps.inc(self.gaps)
        _dropped_in.inc(self.dropped_in)
        _stale_out.inc(self.stale_out)
        _dropped_out.inc(self.dropped_out)
        self.__init__()
