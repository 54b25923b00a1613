"""The hub's policy: topics, order, the bound of a slow browser, the end."""

from dashboard import metrics
from dashboard.sse import Hub, Message


def test_a_browser_gets_its_topics_in_order_and_no_others() -> None:
    hub = Hub()
    with hub.listening(["a", "b"]) as browser:
        assert hub.listened("a")
        assert not hub.listened("c")
        for topic, data in (("a", "1"), ("c", "2"), ("b", "3")):
            hub.publish(topic, Message("x", data))
        hub.publish_all(Message("x", "4"))
        taken = [browser.take() for _ in range(4)]
        assert [m and m.data for m in taken] == ["1", "3", "4", None]
    assert not hub.listened("a")
    assert len(hub) == 0


def test_a_slow_browser_is_cut_off_and_counted_and_harms_nobody() -> None:
    hub = Hub(bound=3)
    before = metrics.browsers_cut_off._value.get()
    with hub.listening(["a"]) as slow, hub.listening(["a"]) as quick:
        ends: list[str] = []
        slow.on_end(lambda: ends.append("slow"))
        for n in range(5):
            hub.publish("a", Message("x", str(n)))
            assert quick.take() == Message("x", str(n))
        assert (slow.cut_off, slow.ended, slow.take()) == (True, True, None)
        assert ends == ["slow"]
        assert not quick.ended
        assert len(hub) == 1
    assert metrics.browsers_cut_off._value.get() == before + 1


def test_a_browser_at_its_bound_is_kept() -> None:
    hub = Hub(bound=3)
    with hub.listening(["a"]) as browser:
        for n in range(3):
            hub.publish("a", Message("x", str(n)))
        assert not browser.ended
        assert browser.take() == Message("x", "0")


def test_closing_ends_everybody_also_those_who_come_later() -> None:
    hub = Hub()
    with hub.listening(["a"]) as browser:
        hub.close()
        assert browser.ended
        assert not browser.cut_off
    with hub.listening(["a"]) as late:
        ended: list[bool] = []
        late.on_end(lambda: ended.append(True))
        assert ended == [True]


def test_a_message_of_many_lines_stays_one_event() -> None:
    assert Message("desk", "<p>\n</p>").encode() == b"event: desk\ndata: <p>\ndata: </p>\n\n"
