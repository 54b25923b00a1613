"""What the sessions of one model heard together."""

from dataclasses import dataclass, field


@dataclass
class Heard:
    """Of the measured time. Latencies in ms, from the caller's frame to the model's socket."""

    audio_s: float = 0.0
    """Of all callers together, as the sessions' coding counts it."""
    frames: int = 0
    """Those whose stamps arrived."""
    dropped: int = 0
    appends: int = 0
    last_frame_ms: dict[str, float] = field(default_factory=dict[str, float])
    """Of the last frame of each batch."""
    waited_ms: dict[str, float] = field(default_factory=dict[str, float])
    """How long the first frame of a batch had waited when it came."""
    lag_p99_ms: float = 0.0
    sessions: int = 0
    barged: list[tuple[int, float]] = field(default_factory=list[tuple[int, float]])
    """(caller's number, monotonic s) of each turn that began while the model spoke."""
    tool_ms: list[float] = field(default_factory=list[float])
    """From a function call to its output."""
    asked: list[float] = field(default_factory=list[float])
    """Monotonic s at which each session was asked for; all of them, measured or not."""


@dataclass
class Ears:
    """What all sessions of a model have in common."""

    acts: bool
    """Also call tools and be spoken over."""
    heard: Heard = field(default_factory=Heard)
    last_frame_ms: list[float] = field(default_factory=list[float])
    waited_ms: list[float] = field(default_factory=list[float])
    asked: list[float] = field(default_factory=list[float])
    measuring: bool = False
    open: int = 0
