"""The paths that Twilio requests, on webhooks and on stream-ingress, below the public addresses."""

from protocol.ids import EventId

VOICE = "/twilio/voice"
STATUS = "/twilio/status"
STREAM_STATUS = "/twilio/stream-status"
STREAM_ENDED = "/twilio/stream-ended"
MEDIA = "/twilio/media"
BROWSER_MEDIA = "/browser/media"
"""Where browsers open their media sockets; never named in TwiML."""
DIAL_ENDED = "/twilio/dial-ended"
OUTBOUND = "/twilio/outbound"
AMD = "/twilio/amd"
WHISPER = "/twilio/whisper"
FALLBACK = "/twilio/fallback.xml"
"""A static document; the path router serves it without webhooks."""

WISH = "wish"
"""Path parameter of VOICE's and STATUS's variants for a call that we placed."""
POLICY = "policy"
PROFILE = "profile"


def outbound(wish: EventId) -> str:
    """The voice webhook of a call that was placed for this wish."""
    return f"{OUTBOUND}/{wish}"


def outbound_status(wish: EventId) -> str:
    """The status callback of a call that was placed for this wish."""
    return f"{STATUS}/{wish}"


def amd(policy: str) -> str:
    """The callback of answering-machine detection under a policy of PlaceCall."""
    return f"{AMD}/{policy}"


def whisper(profile: str) -> str:
    """What is said to the human of a profile before they are joined with the caller."""
    return f"{WHISPER}/{profile}"
