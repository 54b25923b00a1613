"""The sound of the browser phone, run by the node that Playwright brings: the codec against the
testbed's tables, the resampler by tones, and the worklets' queues sample by sample.
"""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import playwright
import pytest

from dashboard.html import STATIC
from testbed.voice.g711 import MULAW_TO_LINEAR, mulaw_code

NODE = Path(playwright.__file__).parent / "driver" / "node"
SOUND = (STATIC / "sound").as_uri()
WORKLET = """
globalThis.sampleRate = 48000;
globalThis.AudioWorkletProcessor = class { constructor() { this.said = []; this.port = {
  postMessage: (message) => this.said.push(message) }; } };
let made;
globalThis.registerProcessor = (_, kind) => { made = kind; };
await import(`${SOUND}/NAME-worklet.js`);
const worklet = new made({ processorOptions: OPTIONS });
const tell = (data) => worklet.port.onmessage({ data });
const pass = (ms) => { // so much of the context's time; what was played of it
  const played = [];
  for (let n = 0; n < ms * 48 / 128; n += 1) {
    const out = new Float32Array(128);
    worklet.process([[]], [[out]]);
    played.push(...out);
  }
  return played;
};
const said = (name) => worklet.said.filter((one) => name in one).map((one) => one[name]);
const rms = (samples) => Math.sqrt(samples.reduce((sum, x) => sum + x * x, 0) / samples.length);
const loud = (ms) => new Uint8Array(ms * 8).fill(0x10);
const marks = () => worklet.said.filter((one) => "mark" in one);
const stats = () => said("stats").at(-1);
"""


def node(script: str) -> Any:
    """What ``script`` gives to ``give``."""
    source = (
        f"const SOUND = {SOUND!r};\n"
        "const give = (value) => console.log(JSON.stringify(value));\n" + script
    )
    done = subprocess.run(
        [NODE, "--input-type=module", "--eval", source],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def worklet(name: str, script: str, **options: object) -> Any:
    return node(WORKLET.replace("NAME", name).replace("OPTIONS", json.dumps(options)) + script)


def test_every_byte_and_every_sample_is_that_of_the_standard() -> None:
    found = node("""
const { DECODED, ofSample } = await import(`${SOUND}/mulaw.js`);
const codes = [];
for (let value = -32768; value < 32768; value += 1) codes.push(ofSample(value / 32768));
const decoded = Array.from(DECODED, (sample) => sample * 32768);
give({ decoded, codes, over: [ofSample(2), ofSample(-2)] });
""")
    assert found["decoded"] == list(MULAW_TO_LINEAR)
    assert found["codes"] == [mulaw_code(value) for value in range(-32768, 32768)]
    assert found["over"] == [mulaw_code(32767), mulaw_code(-32768)], "too loud is clipped"


def test_base64_is_that_of_json() -> None:
    found = node("""
const { toBase64, fromBase64 } = await import(`${SOUND}/mulaw.js`);
give({ text: toBase64(Uint8Array.of(0, 127, 128, 255)), bytes: [...fromBase64("AH+A/w==")] });
""")
    assert found == {"text": "AH+A/w==", "bytes": [0, 127, 128, 255]}


@pytest.mark.parametrize("rate", [44_100, 48_000, 16_000, 96_000])
def test_the_microphones_rate_becomes_8000_without_what_would_fold_down(rate: int) -> None:
    """In dB: tones that a telephone carries stay, those above its band are gone."""
    found = node(f"""
const {{ Resampler }} = await import(`${{SOUND}}/resample.js`);
const level = (hz) => {{
  const resampler = new Resampler({rate}, 8000);
  let count = 0, sum = 0;
  for (let i = 0; i < {rate}; i += 1) {{
    const given = resampler.push(Math.sin(2 * Math.PI * hz * i / {rate}));
    for (let k = 0; k < given; k += 1) if ((count += 1) > 1000) sum += resampler.out[k] ** 2;
  }}
  return [count, 10 * Math.log10(2 * sum / (count - 1000) + 1e-12)];
}};
give([300, 1000, 3000, 3400, 5000, 7000].map(level));
""")
    assert [count for count, _ in found] == [8000] * 6, "a second is a second"
    through = [level for _, level in found[:4]]
    assert all(-0.6 < level < 0.1 for level in through), through
    assert all(level < -60 for _, level in found[4:]), found[4:]


def test_frames_come_every_20_ms_with_or_without_a_microphone() -> None:
    found = worklet(
        "capture",
        """
pass(100);
const silent = said("frame").map((frame) => [...new Set(frame)]);
tell({ muted: true });
const tone = Float32Array.from({ length: 128 }, (_, i) => 0.5 * Math.sin(2 * Math.PI * i / 32));
for (let n = 0; n < 40; n += 1) worklet.process([[tone]], [[new Float32Array(128)]]);
const muted = worklet.said.at(-1);
tell({ muted: false });
for (let n = 0; n < 40; n += 1) worklet.process([[tone]], [[new Float32Array(128)]]);
const open = worklet.said.at(-1);
give({ silent, sizes: [...new Set(said("frame").map((frame) => frame.length))],
  muted: [[...new Set(muted.frame)], muted.level], open: [new Set(open.frame).size, open.level] });
""",
    )
    assert found["silent"] == [[0xFF]] * 5
    assert found["sizes"] == [160]
    assert found["muted"][0] == [0xFF], "the line hears silence"
    assert found["muted"][1] == pytest.approx(0.35, abs=0.02), "the person sees that they are heard"
    assert found["open"][0] > 4
    assert found["open"][1] == pytest.approx(0.35, abs=0.02)


def test_sound_is_played_once_in_order_and_marks_are_told_when_it_was() -> None:
    found = worklet(
        "playout",
        """
tell({ mark: "before" });
pass(10);
const first = marks().map((one) => one.mark);
tell({ mulaw: loud(100) }); tell({ mark: "half" });
tell({ mulaw: loud(100) }); tell({ mark: "all" });
pass(60);
const early = marks().map((one) => one.mark);
const heard = pass(60);
const half = marks().map((one) => one.mark);
pass(200);
give({ first, early, half, all: marks(), rms: rms(heard), stats: stats(), rest: rms(pass(20)) });
""",
    )
    assert found["first"] == ["before"], "a mark behind nothing is reached at once"
    assert found["early"] == ["before"]
    assert found["half"] == ["before", "half"]
    assert [one["mark"] for one in found["all"]] == ["before", "half", "all"]
    assert not any(one["cleared"] for one in found["all"])
    assert found["rms"] > 0.4
    assert found["rest"] == pytest.approx(0, abs=1e-6)
    assert (found["stats"]["played_ms"], found["stats"]["loud_ms"]) == (200, 200)
    assert found["stats"]["underruns"] == 0


def test_a_clear_drops_what_is_unplayed_and_gives_its_marks_back() -> None:
    found = worklet(
        "playout",
        """
tell({ mulaw: loud(1000) }); tell({ mark: "one" });
tell({ mulaw: loud(1000) }); tell({ mark: "two" });
pass(200);
tell({ clear: true });
const told = marks();
pass(10);
const rest = rms(pass(200));
tell({ mulaw: loud(100) });
pass(300);
give({ told, rest, stats: stats() });
""",
    )
    assert found["told"] == [{"mark": "one", "cleared": True}, {"mark": "two", "cleared": True}]
    assert found["rest"] == pytest.approx(0, abs=1e-6)
    assert found["stats"]["played_ms"] == pytest.approx(300, abs=5)
    assert found["stats"]["underruns"] == 0, "what was taken away is not missing"


def test_a_gap_is_an_underrun_and_makes_the_buffer_longer_a_pause_is_none() -> None:
    found = worklet(
        "playout",
        """
tell({ mulaw: loud(100) });
pass(240); // ran dry at 100
tell({ mulaw: loud(50) });
const waits = rms(pass(40));
tell({ mulaw: loud(150) });
pass(400);
const gap = stats();
pass(1000);
tell({ mulaw: loud(200) });
pass(500);
give({ waits, gap, pause: stats() });
""",
    )
    assert found["gap"]["underruns"] == 1
    assert found["gap"]["gap_ms"] == pytest.approx(140, abs=8)
    assert found["gap"]["lead_ms"] == 100
    assert found["waits"] == pytest.approx(0, abs=1e-6), "it waits for more than before"
    assert found["pause"]["underruns"] == 1, "a second of silence is the speaker's"
    assert found["pause"]["played_ms"] == 500


def test_nobody_listens_to_the_past_and_only_live_sound_is_ever_dropped() -> None:
    script = """
for (let n = 0; n < 40; n += 1) tell({ mulaw: loud(20) });
pass(110);
give(stats());
"""
    live = worklet("playout", script, live=True)
    assert live["dropped_ms"] > 400
    assert live["buffered_ms"] <= 500
    queued = worklet("playout", script)
    assert queued["dropped_ms"] == 0
    assert queued["buffered_ms"] == pytest.approx(700, abs=15)


def test_pcm_is_taken_too() -> None:
    found = worklet(
        "playout",
        """
tell({ pcm: new Int16Array(1600).fill(16384) });
tell({ pcm: new Float32Array(1600).fill(0.5) });
pass(100);
const heard = pass(200);
give({ rms: rms(heard), stats: stats() });
""",
    )
    assert found["rms"] == pytest.approx(0.5, abs=0.01)


LINE = """
const sockets = [];
globalThis.WebSocket = class { static OPEN = 1; constructor(url) { this.url = url; this.sent = [];
  this.readyState = 0; this.bufferedAmount = 0; sockets.push(this); }
  send(text) { this.sent.push(JSON.parse(text)); }
  close(code) { this.readyState = 2; this.code = code; } };
const { Line } = await import(`${SOUND}/line.js`);
const speaker = new EventTarget(), heard = [];
for (const name of ["play", "mark", "clear"]) speaker[name] = (value) =>
  heard.push([name, value instanceof Uint8Array ? [...value] : value ?? null]);
const line = new Line({ url: "wss://v/browser/media", call: "CA1", token: "t", speaker });
const [socket] = sockets, frame = () => new Uint8Array(160).fill(0xff);
const open = () => { socket.readyState = 1; socket.onopen(); };
const say = (message) => socket.onmessage({ data: JSON.stringify(message) });
const played = (name) =>
  speaker.dispatchEvent(new CustomEvent("mark", { detail: { name, cleared: false } }));
let closed = null;
line.addEventListener("closed", ({ detail }) => { closed = detail; });
"""


def test_a_line_says_what_twilio_says_in_its_order() -> None:
    found = node(
        LINE
        + """
line.frame(frame());
played("too early");
open();
line.frame(frame());
line.key("7");
played("m1");
line.frame(frame());
line.hangUp();
line.frame(frame());
give({ sent: socket.sent, code: socket.code, sid: line.sid });
"""
    )
    connected, start, first, key, mark, second, stop = found["sent"]
    assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
    sid = found["sid"]
    assert len(sid) == 34
    assert sid.startswith("MZ")
    numbered = [start, first, key, mark, second, stop]
    assert [m["sequenceNumber"] for m in numbered] == ["1", "2", "3", "4", "5", "6"]
    assert {m["streamSid"] for m in numbered} == {sid}
    assert start["start"] == {
        "streamSid": sid,
        "accountSid": "AC" + "0" * 32,
        "callSid": "CA1",
        "tracks": ["inbound"],
        "customParameters": {"token": "t"},
        "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
    }
    assert first["media"]["track"] == "inbound"
    assert [(m["media"]["chunk"], m["media"]["timestamp"]) for m in (first, second)] == [
        ("1", "0"),
        ("2", "20"),
    ]
    assert base64.b64decode(first["media"]["payload"]) == b"\xff" * 160
    assert key["dtmf"] == {"track": "inbound_track", "digit": "7"}
    assert mark["mark"] == {"name": "m1"}
    assert stop["stop"] == {"accountSid": "AC" + "0" * 32, "callSid": "CA1"}
    assert found["code"] == 1000


def test_a_line_plays_what_the_other_side_says() -> None:
    found = node(
        LINE
        + """
open();
say({ event: "media", streamSid: line.sid, media: { payload: "AH+A/w==" } });
say({ event: "mark", streamSid: line.sid, mark: { name: "m1" } });
say({ event: "clear", streamSid: line.sid });
say({ event: "something new" });
socket.readyState = 3;
socket.onclose({ code: 1000, reason: "hangup" });
played("m1");
give({ heard, closed, sent: socket.sent.length });
"""
    )
    assert found["heard"] == [["play", [0, 127, 128, 255]], ["mark", "m1"], ["clear", None]]
    assert found["closed"] == {"code": 1000, "reason": "hangup", "ours": False}
    assert found["sent"] == 2, "a mark of a closed line is echoed to nobody"


def test_a_stuck_socket_loses_frames_and_the_gap_is_seen_by_its_time() -> None:
    found = node(
        LINE
        + """
open();
line.frame(frame());
socket.bufferedAmount = 70000;
for (let n = 0; n < 5; n += 1) line.frame(frame());
socket.bufferedAmount = 0;
line.frame(frame());
const media = socket.sent.filter((one) => one.media).map((one) => one.media);
give({ dropped: line.dropped, media });
"""
    )
    assert found["dropped"] == 5
    assert [(m["chunk"], m["timestamp"]) for m in found["media"]] == [("1", "0"), ("2", "120")]
