"""What the holder of a call says to ingress, and what it says when it may not or cannot."""

import pytest
from prometheus_client import REGISTRY

from ai_agent.call_line import CallLine
from protocol.ids import CallId, Epoch, ItemId
from runtime.errors import NatsAway

CALL = CallId("CA" + "1" * 32)
ITEM = ItemId("item_1")


class FakeBus:
    """Takes what is published, as a bus that is up, away, or full."""

    def __init__(self):
        self.connected = True
        self.stuck = self.full = False
        self.sent: list[str] = []

    async def publish(self, subject, message):
        if self.full:
            raise NatsAway("full")
        self.sent.append(f"{subject.split('.')[3]}.{subject.split('.')[4]}")

    async def publish_audio(self, subject, audio):
        if self.stuck or not self.connected:
            return False
        self.sent.append(f"{subject.split('.')[3]}.audio")
        return True


@pytest.fixture
def bus():
    return FakeBus()


@pytest.fixture
def line(bus):
    return CallLine(bus, CALL, Epoch(5))


async def test_everything_is_said_under_the_epoch_that_is_held(bus, line):
    await line.play(ITEM, b"a")
    await line.play(ITEM, b"b")
    await line.done(ITEM)
    line.hold(Epoch(9))
    await line.clear()
    assert bus.sent == ["5.item", "5.audio", "5.audio", "5.done", "9.clear"]
    assert line.clears == 1
    assert not line.lost


@pytest.mark.parametrize("fault", ["connected", "stuck", "full"])
async def test_after_a_loss_nothing_more_of_the_item_is_said(bus, line, fault):
    await line.play(ITEM, b"a")
    setattr(bus, fault, fault != "connected")
    await line.play(ITEM, b"b")
    await line.done(ITEM)
    setattr(bus, fault, fault == "connected")
    await line.play(ITEM, b"c")
    await line.done(ITEM)
    spoken = 2 if fault == "full" else 1
    assert bus.sent == ["5.item", *["5.audio"] * spoken]
    assert line.lost
    assert line.regained()
    assert not line.regained()
    await line.play(ItemId("item_2"), b"d")
    assert bus.sent[-2:] == ["5.item", "5.audio"]


async def test_a_clear_that_was_not_sent_is_a_loss_and_keeps_its_number(bus, line):
    bus.connected = False
    await line.clear()
    assert (line.lost, line.clears, bus.sent) == (True, 1, [])
    bus.connected = True
    await line.clear()
    assert (line.clears, bus.sent) == (2, ["5.clear"])


async def test_a_muted_line_says_nothing_and_remembers_that_the_call_was_to_end(bus, line):
    line.mute()
    await line.play(ITEM, b"a")
    await line.clear()
    await line.end("hangup")
    assert bus.sent == []
    assert line.lost
    await line.unmute()
    assert bus.sent == ["5.end"]
    assert line.regained()


async def test_a_muted_line_that_had_nothing_to_say_lost_nothing(line):
    line.mute()
    await line.unmute()
    assert not line.regained()


async def test_the_time_to_fall_silent_is_counted_once_for_each_clear(line):
    def counted():
        return REGISTRY.get_sample_value("trunkline_barge_in_seconds_count")

    before = counted()
    line.cleared(0)
    await line.clear()
    await line.clear()
    line.cleared(1)  # overtaken by the second
    assert counted() == before
    line.cleared(2)
    line.cleared(2)  # said again after a reconnect
    assert counted() == before + 1


async def test_a_clear_that_was_not_sent_is_not_timed(bus, line):
    before = REGISTRY.get_sample_value("trunkline_barge_in_seconds_count")
    bus.connected = False
    await line.clear()
    line.cleared(1)
    assert REGISTRY.get_sample_value("trunkline_barge_in_seconds_count") == before
