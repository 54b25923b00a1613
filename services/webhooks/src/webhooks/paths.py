"""The paths that Twilio requests, on webhooks and on stream-ingress, below the public addresses."""

VOICE = "/twilio/voice"
STATUS = "/twilio/status"
STREAM_STATUS = "/twilio/stream-status"
STREAM_ENDED = "/twilio/stream-ended"
MEDIA = "/twilio/media"
