"""Streams as code on a real JetStream: made once, changed where the definition changed."""

import asyncio

import pytest
from nats.js import api

from protocol.streams import CALLS
from runtime.bus import Bus, connect
from runtime.errors import ServiceError
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings


@pytest.fixture
async def bare(own_server):
    """A bus on a server without streams."""
    settings = CommonSettings(nats_url=own_server.url, startup_wait_s=20)
    async with connect(settings, "bare", Shutdown()) as bus:
        yield bus


async def config(bus: Bus) -> api.StreamConfig:
    return (await bus.jetstream.stream_info(CALLS.name)).config


async def test_the_stream_is_as_defined(bare: Bus) -> None:
    await provision(bare, wait_s=20, shutdown=Shutdown())
    made = await config(bare)
    assert made.subjects == list(CALLS.subjects)
    assert (made.max_age, made.max_bytes) == (CALLS.max_age_s, CALLS.max_bytes)
    assert made.duplicate_window == CALLS.duplicate_window_s
    assert made.allow_direct
    assert made.discard == api.DiscardPolicy.OLD
    assert made.republish is not None
    assert CALLS.republish is not None
    assert made.republish.src == CALLS.republish.source
    assert made.republish.dest == CALLS.republish.destination


async def test_doing_it_again_and_at_once_does_no_harm(bare: Bus) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(provision(bare, wait_s=20, shutdown=Shutdown()))
    await bare.jetstream.publish("call.x.log.y", b"kept")
    await provision(bare, wait_s=20, shutdown=Shutdown())
    info = await bare.jetstream.stream_info(CALLS.name)
    assert info.state.messages == 1


@pytest.mark.parametrize("changed", ["max_age", "republish", "subjects", "allow_direct"])
async def test_an_older_stream_is_brought_up_to_date_and_keeps_its_events(
    bare: Bus, changed: str
) -> None:
    older = {
        "max_age": 1800.0,
        "republish": None,
        "subjects": ["call.*.log.y"],
        "allow_direct": None,
    }
    await provision(bare, wait_s=20, shutdown=Shutdown())
    as_defined = await config(bare)
    await bare.jetstream.delete_stream(CALLS.name)
    await bare.jetstream.add_stream(as_defined.evolve(**{changed: older[changed]}))
    await bare.jetstream.publish("call.x.log.y", b"kept")
    await provision(bare, wait_s=20, shutdown=Shutdown())
    assert await config(bare) == as_defined
    assert (await bare.jetstream.stream_info(CALLS.name)).state.messages == 1


async def test_a_server_without_jetstream_is_one_sentence(bare: Bus, monkeypatch) -> None:
    monkeypatch.setattr(bare.jetstream, "_prefix", "$JS.NOWHERE.API")
    with pytest.raises(ServiceError, match=r"JetStream: .*is it enabled\?; gave up after 1 s"):
        await provision(bare, wait_s=1, shutdown=Shutdown())
