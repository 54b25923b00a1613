"""line_out: two holders of a call are never both heard, however their messages meet."""

import base64
import json

from hypothesis import given, settings
from hypothesis import strategies as st

from protocol import codec, line
from protocol.ids import CallId, Leg
from stream_ingress.line_out import LineOut, Reports
from stream_ingress.metrics import Tally
from stream_ingress.outgoing import Outgoing

CALL = CallId("CA" + "1" * 32)
EPOCHS = (10, 20, 30)


class Message:
    reply = ""
    headers = None

    def __init__(self, subject: str, data: bytes) -> None:
        self.subject, self.data = subject, data


class Uplink:
    """Tells nothing while not `connected`."""

    connected = True

    def __init__(self) -> None:
        self.told: list[tuple[str, object]] = []

    def put(self, subject: str, message: object) -> None:
        if self.connected:
            self.told.append((subject, message))


class Socket:
    """Takes everything at once."""

    writable = True

    def __init__(self) -> None:
        self.taken: list[bytes] = []

    def send(self, message: bytes) -> None:
        self.taken.append(message)


class World:
    """A line whose holders' audio names its epoch in every byte."""

    def __init__(self, floor: int) -> None:
        self.uplink, self.now_ms, self.words = Uplink(), 0, 0
        self.socket = Socket()
        self.spoke: list[int] = []
        self.ends: list[str] = []
        reports = Reports(lambda _: None, self.ends.append, self.spoke.append, lambda _: None)
        outgoing = Outgoing(self.socket, "MZ1")
        self.line = LineOut(self.uplink, CALL, outgoing, lambda: self.now_ms, reports, Tally())
        self.line.open(Leg(5), floor)

    def sent(self) -> list[str]:
        """What went to Twilio since the last look: epochs of audio, and ``clear``."""
        sent = []
        for taken in self.socket.taken:
            message = json.loads(taken)
            if message["event"] == "media":
                sent += {str(b) for b in base64.b64decode(message["media"]["payload"])}
            elif message["event"] == "clear":
                sent.append("clear")
        self.socket.taken.clear()
        return sent

    def say(self, epoch: int, kind: str) -> None:
        self.words += 1
        item = f"item_{epoch}_{self.words // 4}"
        data = {
            "audio": bytes([epoch]) * 160,
            "item": codec.encode(line.Item(item)),
            "done": codec.encode(line.ItemDone(item)),
            "clear": codec.encode(line.Clear(self.words)),
            "end": codec.encode(line.End("hangup")),
        }[kind]
        self.line.handle(Message(f"call.{CALL}.out.{epoch}.{kind}", data))


KINDS = st.sampled_from(["item", "item", "audio", "audio", "audio", "done", "clear", "end"])
SAY = st.tuples(st.just("say"), st.sampled_from(EPOCHS), KINDS)
STEPS = st.lists(
    st.one_of(
        *[SAY] * 6,
        st.tuples(st.just("assigned"), st.sampled_from(EPOCHS), st.none()),
        st.tuples(st.just("let in"), st.sampled_from(EPOCHS), st.none()),
        st.tuples(st.just("hold"), st.just(0), st.none()),
        st.tuples(st.just("time"), st.integers(1, 500), st.none()),
    ),
    min_size=20,
    max_size=80,
)


@settings(max_examples=80, deadline=None)
@given(floor=st.sampled_from([0, 0, 0, *EPOCHS]), steps=STEPS)
def test_only_the_newest_holder_seen_is_ever_heard(floor: int, steps) -> None:
    world = World(floor)
    newest = 0  # the highest epoch that the line knows of, by the log or by its voice
    let_in = floor
    for what, number, kind in steps:
        ends = len(world.ends)
        match what:
            case "say":
                world.say(number, kind)
            case "assigned":
                world.line.obey(number)
            case "let in":
                world.line.let_in(number)
                let_in = min(let_in, number - 1)
            case "hold":
                world.line.play("hold", b"\x00" * 1600)
            case "time":
                world.now_ms += number
        allowed = number > let_in and number >= newest
        if what != "hold" and what != "time" and allowed:
            newest = number
        for word in world.sent():
            if word == "clear":
                assert what == "say"
                assert number == newest
            elif word != "0":  # our own sentence
                assert int(word) == number == newest, "an older holder is heard"
        if len(world.ends) > ends:
            assert number == newest, "an older holder ended the call"


def test_the_holder_of_an_earlier_leg_is_heard_only_after_it_was_let_in() -> None:
    world = World(10)
    world.say(10, "item")
    world.say(10, "audio")
    assert world.sent() == []
    world.line.let_in(10)
    world.say(10, "audio")  # of an item that began on the old leg
    assert world.sent() == []
    world.say(10, "item")
    world.say(10, "audio")
    assert world.sent() == ["10"]
    assert world.spoke == []
    world.say(20, "item")
    assert world.spoke == [20]
    world.line.let_in(10)
    world.say(10, "item")
    world.say(10, "audio")
    assert world.sent() == []


def test_after_an_absence_the_last_words_are_told_again() -> None:
    world = World(0)
    world.line.obey(10)
    world.line.handle(Message(f"call.{CALL}.out.10.item", codec.encode(line.Item("a"))))
    world.say(10, "audio")
    world.uplink.connected = False
    world.line.handle(Message(f"call.{CALL}.out.10.done", codec.encode(line.ItemDone("a"))))
    world.now_ms = 20
    world.line.echo("1")
    world.line.handle(Message(f"call.{CALL}.out.10.item", codec.encode(line.Item("b"))))
    world.say(10, "audio")
    world.now_ms = 30
    world.line.handle(Message(f"call.{CALL}.out.10.clear", codec.encode(line.Clear(1))))
    world.line.play("moment", b"\x00" * 1600)
    assert world.uplink.told == []
    world.uplink.connected = True
    world.line.retell()
    cleared = (line.Playhead("b", 10, False, 20, False),)
    assert world.uplink.told == [
        (f"call.{CALL}.in.5.cleared", line.Cleared(1, 30, cleared)),
        (f"call.{CALL}.in.5.heard", line.Heard("a", 20, True, 30)),
        (f"call.{CALL}.in.5.heard", line.Heard("b", 10, False, 30)),
    ]
    world.uplink.told.clear()
    world.line.obey(20)
    world.line.retell()
    assert world.uplink.told == []
