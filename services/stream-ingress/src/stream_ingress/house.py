"""What all legs of the process share; app builds it once."""

from msgspec import Struct

from protocol.ids import IngressId
from runtime.bus import Bus
from stream_ingress.admission import Admission
from stream_ingress.legs import Legs
from stream_ingress.local_sentences import Sentences
from stream_ingress.metrics import Tally
from stream_ingress.placement import Agents


class House(Struct, frozen=True):
    """Times in seconds."""

    name: IngressId
    account_sid: str
    bus: Bus
    admission: Admission
    agents: Agents
    legs: Legs
    sentences: Sentences
    tally: Tally
    hold_after_s: float
    place_for_s: float
