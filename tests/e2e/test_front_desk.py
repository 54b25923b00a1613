"""The second assistant that ships: another business, whose tool is a service of its own."""

from testbed.realtime import CallTool, OnResponse, OnSpeech, Say, expect_output, tone

CLINIC = "+15550100020"
CALLER = "+15550140510"
HELLO = Say("Clinic, hello.", audio_ms=600)
ANSWER = Say("Let me tell you.", audio_ms=500)


async def test_the_front_desk_looks_its_hours_up(world) -> None:
    script = world.script(
        OnResponse(HELLO, where=lambda r: "front desk of the clinic" in (r.instructions or "")),
        OnSpeech("are you open today", CallTool("opening_hours", {"day": "today"}, "c1")),
        expect_output("c1", lambda out: out["spoken"].startswith("Today we are ")),
        OnResponse(ANSWER),
    )
    call = await world.twilio.dial(CALLER, CLINIC)
    await world.heard(call, tone(HELLO.text, HELLO.audio_ms))
    call.say(tone("are you open today", 600))
    await script.finished()
    events = await world.hung_up(call)
    (session,) = [event for event in events if event["event"] == "session_opened"]
    assert session["profile"] == "front-desk"
    tools = [tool["name"] for tool in session["tools"]]
    assert tools == ["opening_hours", "end_call", "transfer_to_human"]
    assert world.stack.processes["tool-opening-hours"].running
