"""An ingress that was cut off from NATS asks the holder to attach to the leg that it has: the
holder finds out what of its words was lost, and goes on.
"""

import pytest
from agent_world import Tools, assigned, worker
from line_end import SILENCE, line_end
from line_moves import attach, holds, takeover

from protocol.placement import Accepted
from runtime import micro
from runtime.bus import connect
from runtime.provision import provision
from runtime.service import Shutdown
from runtime.settings import CommonSettings
from testbed.realtime import OnResponse, RealtimeServer, Say, Script, Scripts


@pytest.fixture(scope="module")
async def bus(nats_server):
    async with connect(CommonSettings(nats_url=nats_server.url), "test", Shutdown()) as found:
        await provision(found, wait_s=5, shutdown=Shutdown())
        yield found


@pytest.fixture(scope="module")
async def tool_service(bus):
    service = Tools()
    async with micro.serving(bus, name="tools", description="d", endpoints=service.endpoints()):
        yield service


async def test_words_that_the_ingress_never_got_do_not_stay_unheard(
    bus, nats_server, tool_service, tmp_path
):
    script = Script(OnResponse(Say("Words into the void.", audio_ms=400)))
    async with (
        RealtimeServer(Scripts(script)) as model,
        worker(nats_server, tmp_path, model) as name,
        line_end(bus, hears=False) as end,
    ):
        reply = await assigned(end, name)
        await end.speak(20, SILENCE)
        await end.event("said", done=True)
        await end.until(lambda: "done" in end.kinds, "the greeting was sent")
        # Asked again by somebody who thought it dead: nothing was lost.
        assert await takeover(end, name, reply.epoch) == Accepted(reply.epoch)
        assert await holds(end, name, reply.epoch)
        assert not end.clears
        asked = await attach(end, name, reply.epoch, before=end.leg)
        assert asked == Accepted(reply.epoch)
        await end.until(lambda: bool(end.clears), "asked how far it was heard")
        await end.cleared(max(end.clears))
        assert await holds(end, name, reply.epoch)
