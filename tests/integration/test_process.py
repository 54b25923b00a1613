"""A child process of the launcher: output, readiness, end, and death with its launcher."""

import asyncio
import os
import signal
import sys
from pathlib import Path

import httpx
import pytest

from testbed.ports import free_port, free_ports, is_free
from testbed.process import Process, StartError, run

SERVER = """
import http.server, signal, sys
class Ready(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Ready.asked += 1
        self.send_response(200 if Ready.asked > 2 else 503)
        self.end_headers()
        self.wfile.write(b"not yet")
    def log_message(self, *_): pass
signal.signal(signal.SIGTERM, lambda *_: (print("bye", flush=True), sys.exit(3)))
server = http.server.HTTPServer(("127.0.0.1", int(sys.argv[1])), Ready)
print("listening", flush=True)
server.serve_forever()
"""
STUBBORN = "import signal,time;signal.signal(15,lambda *_:0);print('up',flush=True);time.sleep(99)"


def python(name: str, code: str, *arguments: object) -> Process:
    return Process(name, [sys.executable, "-c", code, *map(str, arguments)])


def alive(pid: int) -> bool:
    """Whether it exists and is more than a zombie that the system has yet to collect."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state not in "ZX"


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while alive(pid):
            await asyncio.sleep(0.01)


async def test_it_is_ready_once_its_url_answers_200_and_stops_on_sigterm() -> None:
    port = free_port()
    server = python("server", SERVER, port)
    await server.start()
    await server.ready(f"http://127.0.0.1:{port}/readyz", 20)
    assert server.running
    assert server.returncode is None
    assert await server.stop(20) == 3
    assert list(server.lines) == ["listening", "bye"]
    assert is_free(port)


async def test_ready_reports_an_early_exit_with_the_last_output() -> None:
    code = "import sys;print('reading');sys.exit('NATS_URL is not set')"
    process = python("webhooks", code)
    await process.start()
    with pytest.raises(StartError, match=r"(?s)webhooks exited with code 1.*NATS_URL is not set"):
        await process.ready(f"http://127.0.0.1:{free_port()}/readyz", 20)


async def test_ready_reports_what_a_late_server_answered() -> None:
    port = free_port()
    server = python("server", SERVER.replace("> 2", "> 10**9"), port)
    await server.start()
    await server.saw("listening", 20)
    try:
        with pytest.raises(StartError, match="answered 503 not yet"):
            await server.ready(f"http://127.0.0.1:{port}/readyz", 0)
    finally:
        await server.stop(20)


async def test_output_is_merged_bounded_and_given_to_the_listener_even_if_that_fails() -> None:
    heard: list[str] = []
    problems: list[str] = []

    def listen(line: str) -> None:
        heard.append(line)
        if line == "line 0":
            raise ValueError("listener broke")

    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: problems.append(context["message"]))
    code = (
        "import sys;[print('line',n,flush=True) for n in range(5)];print('x'*300000);"
        "sys.stdout.flush();print('end',end='',file=sys.stderr)"
    )
    process = Process("noisy", [sys.executable, "-c", code], on_line=listen, keep_lines=3)
    try:
        await process.start()
        assert await process.wait() == 0
    finally:
        loop.set_exception_handler(None)
    assert heard[:5] == [f"line {n}" for n in range(5)]
    assert "".join(heard[5:-1]) == "x" * 300_000
    assert heard[-1] == "end"
    assert len(process.lines) == 3
    assert problems == ["listener to the output of noisy"]


async def test_one_that_ignores_sigterm_is_killed_after_its_grace() -> None:
    process = python("stubborn", STUBBORN)
    await process.start()
    await process.saw("up", 20)
    assert await process.stop(0.05) == -signal.SIGKILL


async def test_kill_takes_grandchildren_along() -> None:
    code = (
        "import subprocess,sys,time;"
        "p=subprocess.Popen([sys.executable,'-c','import time;time.sleep(99)'],"
        "start_new_session=True);print('child',p.pid,flush=True);time.sleep(99)"
    )
    process = python("parent", code)
    await process.start()
    await process.saw("child", 20)
    grandchild = int(process.lines[-1].split()[1])
    process.kill()
    assert await process.wait() == -signal.SIGKILL
    await gone(grandchild)


async def test_what_it_leaves_behind_in_its_group_does_not_outlive_it() -> None:
    code = (
        "import subprocess,sys;"
        "p=subprocess.Popen([sys.executable,'-c','import time;time.sleep(99)']);"
        "print('child',p.pid,flush=True);__import__('os')._exit(5)"
    )
    process = python("parent", code)
    await process.start()
    assert await process.wait() == 5
    await gone(int(process.lines[-1].split()[1]))


async def test_suspended_it_does_not_answer_and_resumed_it_does() -> None:
    port = free_port()
    server = python("server", SERVER, port)
    await server.start()
    url = f"http://127.0.0.1:{port}/readyz"
    try:
        await server.ready(url, 20)
        server.suspend()
        async with httpx.AsyncClient(trust_env=False, timeout=0.2) as client:
            with pytest.raises(httpx.TimeoutException):
                await client.get(url)
        server.resume()
        await server.ready(url, 20)
        server.suspend()
    finally:
        assert await server.stop(20) == 3, "a suspended process hears SIGTERM too"


async def test_it_starts_again_after_its_end_but_not_twice_at_once() -> None:
    process = python("stubborn", STUBBORN)
    await process.start()
    first = process.pid
    with pytest.raises(StartError, match=f"stubborn runs already as process {first}"):
        await process.start()
    process.kill()
    await process.wait()
    await process.start()
    assert process.pid != first
    process.kill()
    await process.wait()


async def test_a_missing_program_and_a_slow_one_are_named() -> None:
    with pytest.raises(StartError, match="ghost cannot start: /no/such is not an executable file"):
        await Process("ghost", ["/no/such"]).start()
    with pytest.raises(StartError, match=r"slow did not end within 0\.1 s"):
        await run("slow", [sys.executable, "-c", "import time;time.sleep(99)"], timeout_s=0.1)


async def test_it_is_its_own_process_group() -> None:
    process = python("grouped", STUBBORN)
    await process.start()
    try:
        await process.saw("up", 20)
        assert os.getpgid(process.pid) == process.pid
        assert os.getpgid(0) != process.pid
    finally:
        process.kill()
        await process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal is Linux's")
async def test_it_dies_with_a_launcher_that_is_killed() -> None:
    launcher_code = (
        "import asyncio,sys\n"
        "from testbed.process import Process\n"
        "async def main():\n"
        f"    p = Process('child', [sys.executable, '-c', {STUBBORN!r}])\n"
        "    await p.start(); await p.saw('up', 20)\n"
        "    print('child is', p.pid, flush=True)\n"
        "    await asyncio.sleep(99)\n"
        "asyncio.run(main())\n"
    )
    launcher = python("launcher", launcher_code)
    await launcher.start()
    await launcher.saw("child is", 20)
    child = int(launcher.lines[-1].split()[-1])
    os.kill(launcher.pid, signal.SIGKILL)
    assert await launcher.wait() == -signal.SIGKILL
    await gone(child)


def test_free_ports_are_different_free_and_never_handed_out_twice() -> None:
    first, second = free_ports(20), free_ports(20)
    assert len({*first, *second}) == 40
    assert all(is_free(port) for port in first + second)
