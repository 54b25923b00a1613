"""What all legs of the process share; app builds it once."""

from msgspec import Struct

from protocol.ids import IngressId
from runtime.bus import Bus
from runtime.tasks import Tasks
from stream_ingress.admission import Admission
from stream_ingress.legs import Legs
from stream_ingress.local_sentences import Sentences
from stream_ingress.metrics import Tally
from stream_ingress.pinger import Pinger
from stream_ingress.placement import Agents
from stream_ingress.pulse import Pulse
from stream_ingress.reach import Reach


class House(Struct, frozen=True):
    """Times in seconds. ``rest``: tasks that write what ended legs could not. ``batch_bytes``:
    mu-law of a full message of caller audio.
    """

    name: IngressId
    account_sid: str
    bus: Bus
    admission: Admission
    reach: Reach
    agents: Agents
    pinger: Pinger
    legs: Legs
    sentences: Sentences
    pulse: Pulse
    batch_bytes: int
    tally: Tally
    rest: Tasks
    hold_after_s: float
    place_for_s: float
    away_for_s: float
