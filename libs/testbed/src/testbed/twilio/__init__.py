"""A simulated Twilio: phone, TwiML, media sockets and REST, written from Twilio's documentation.

For tests and the demo. Imports none of our packages and not the `twilio` SDK.
"""

from testbed.twilio.call import Call
from testbed.twilio.ear import Ear, Sound, Spoken
from testbed.twilio.faults import Callee, Faults, RestFaults, Timing
from testbed.twilio.media_stream import MediaStream, StreamEnd
from testbed.twilio.phone import OutboundCall, SimulatedTwilio, TwilioAccount
from testbed.twilio.rest import serve_rest

__all__ = [
    "Call",
    "Callee",
    "Ear",
    "Faults",
    "MediaStream",
    "OutboundCall",
    "RestFaults",
    "SimulatedTwilio",
    "Sound",
    "Spoken",
    "StreamEnd",
    "Timing",
    "TwilioAccount",
    "serve_rest",
]
