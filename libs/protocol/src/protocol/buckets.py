"""JetStream object store buckets as plain data; runtime.objects makes and uses them."""

from msgspec import Struct

from protocol.streams import DAY_S


class BucketDefinition(Struct, frozen=True):
    """One bucket. Age in seconds, size in bytes; a full one takes nothing new until objects
    expire.
    """

    name: str
    description: str
    max_age_s: int
    max_bytes: int


SPEECH = BucketDefinition(
    name="SPEECH",
    description="Spoken sentences, none personal: mu-law 8 kHz by the sha256 of what was asked",
    max_age_s=30 * DAY_S,
    max_bytes=256 * 1024**2,
)

BUCKETS = (SPEECH,)
