"""Metrics of the speaker: who spoke, how soon, and who could not."""

from prometheus_client import Counter, Histogram

SPOKEN = Counter(
    "trunkline_speaker_spoken_total",
    "Whole sentences spoken, by where they came from: a provider, memory, store, shipped",
    ["source"],
)
FAILED = Counter(
    "trunkline_speaker_failed_total", "Sentences that a provider could not say", ["provider"]
)
SPEECHLESS = Counter("trunkline_speaker_speechless_total", "Sentences that nobody could say")
READ_DIFFERENTLY = Counter(
    "trunkline_speaker_read_differently_total", "Texts of which the model read other words"
)
FIRST_AUDIO_SECONDS = Histogram(
    "trunkline_speaker_first_audio_seconds",
    "Sentence asked for until its first audio, of providers",
    ["provider"],
    buckets=(0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.2, 2.0, 3.0, 5.0),
)
