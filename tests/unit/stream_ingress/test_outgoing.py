"""What goes to a media socket: at once while it takes it, else in order, bounded and recallable."""

import base64
import json

from stream_ingress import outgoing
from stream_ingress.outgoing import Outgoing


class Socket:
    """Takes messages while `writable`."""

    def __init__(self) -> None:
        self.writable = True
        self.taken: list[str] = []

    def send(self, message: bytes) -> None:
        assert self.writable
        said = json.loads(message)
        body = said.get("media") or said.get("mark") or {}
        self.taken.append(
            said["event"] + str(body.get("name") or base64.b64decode(body.get("payload", "")))
        )


def test_everything_is_on_its_way_at_once_while_the_socket_takes_it():
    socket = Socket()
    out = Outgoing(socket, "MZ1")
    out.media(b"a")
    out.mark("1")
    out.clear()
    assert socket.taken == ["mediab'a'", "mark1", "clearb''"]


def test_what_waits_goes_in_order_and_nothing_overtakes_it():
    socket = Socket()
    out = Outgoing(socket, "MZ1")
    socket.writable = False
    out.media(b"a")
    out.mark("1")
    socket.writable = True
    out.media(b"b")
    assert socket.taken == []
    out.flush()
    out.media(b"c")
    assert socket.taken == ["mediab'a'", "mark1", "mediab'b'", "mediab'c'"]


def test_a_socket_that_is_full_again_takes_the_rest_later():
    socket = Socket()
    out = Outgoing(socket, "MZ1")
    socket.writable = False
    for audio in (b"a", b"b"):
        out.media(audio)
    socket.writable = True
    send, socket.send = socket.send, lambda message: (send(message), setattr(socket, "writable", 0))
    out.flush()
    assert socket.taken == ["mediab'a'"]
    socket.writable = True
    out.flush()
    assert socket.taken == ["mediab'a'", "mediab'b'"]


def test_a_clear_takes_back_what_waits():
    socket = Socket()
    out = Outgoing(socket, "MZ1")
    socket.writable = False
    out.media(b"a")
    out.clear()
    out.media(b"b")
    socket.writable = True
    out.flush()
    assert socket.taken == ["clearb''", "mediab'b'"]


def test_a_socket_that_takes_nothing_is_stuck_in_the_end(monkeypatch):
    monkeypatch.setattr(outgoing, "BOUND_BYTES", 1_000)
    socket = Socket()
    out = Outgoing(socket, "MZ1")
    socket.writable = False
    for _ in range(100):
        out.media(b"x" * 160)
    assert out.stuck.is_set()
    socket.writable = True
    out.flush()
    assert 3 <= len(socket.taken) <= 6
