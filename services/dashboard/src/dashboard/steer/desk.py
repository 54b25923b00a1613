"""All by which operators steer and hear calls, put together: forms, sockets, recordings."""

from functools import partial

from starlette.routing import BaseRoute, WebSocketRoute

from dashboard.html import Html
from dashboard.live.call_pages import CallPages
from dashboard.live.screen import Screen
from dashboard.people.staff import Staff
from dashboard.sound.kept import KeptRecordings
from dashboard.sound.listening import ListenSocket
from dashboard.sound.pages import RecordingPages
from dashboard.sound.recording import recorded
from dashboard.sound.voice import VoiceSocket
from dashboard.sse import Hub
from dashboard.steer.pages import SteerPages
from dashboard.steer.steering import Steering
from runtime.bus import Bus


def routes(
    staff: Staff, bus: Bus, calls: CallPages, screen: Screen, html: Html, hub: Hub
) -> list[BaseRoute]:
    """What hangs below ``/calls/{call_id}`` for operators."""
    steering = Steering(bus, staff.trail)
    kept = KeptRecordings(partial(recorded, bus))
    listen = ListenSocket(bus, staff.trail, calls, hub)
    voice = VoiceSocket(bus, steering, staff.trail, calls, hub)
    return [
        *SteerPages(steering, calls, screen, html).routes(),
        *RecordingPages(kept, staff.trail, calls, html).routes(),
        WebSocketRoute("/calls/{call_id}/listen", listen.listen),
        WebSocketRoute("/calls/{call_id}/voice", voice.voice),
    ]
