"""One child process of the launcher: its start, its output lines, its readiness and its end.

Used by the embedded servers and the stack. A child is its own process group (Ctrl-C reaches only
the launcher, which stops children in order) and dies with the thread that started it, so start
children from the main thread. It never restarts a child by itself.
"""

import asyncio
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import httpx

_CHILD = Path(__file__).with_name("child.py")
_MAX_LINE_BYTES = 64 * 1024
_POLL_S = 0.03
_EOF_S = 1.0
_BAD_NEWS = ("FATAL", "PANIC", "[FTL]", "Error", "error")


class StartError(RuntimeError):
    """Something of the testbed could not start; the message is one sentence for a person."""


class Process:
    """A child program. `lines` holds its newest output lines (stdout and stderr merged)."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        on_line: Callable[[str], None] | None = None,
        uid: int | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
        keep_lines: int = 400,
    ) -> None:
        """`env` None inherits ours; `uid` switches user (root only); `death_signal` is what the
        child gets when the launcher is gone (Linux only)."""
        self.name = name
        self.lines: deque[str] = deque(maxlen=keep_lines)
        self._argv = [str(part) for part in argv]
        self._env = env
        self._cwd = cwd
        self._on_line = on_line
        self._uid = -1 if uid is None else uid
        self._death_signal = death_signal
        self._child: asyncio.subprocess.Process | None = None
        self._pump: asyncio.Task[None] | None = None
        self._watches: list[tuple[str, asyncio.Future[bool]]] = []

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal, None while it runs or before the first start."""
        return None if self._child is None else self._child.returncode

    @property
    def running(self) -> bool:
        return self._child is not None and self._child.returncode is None

    def tail(self, count: int = 8) -> str:
        """The newest `count` output lines as one text, or a word that there were none."""
        return "\n".join(list(self.lines)[-count:]) or "(no output)"

    def complaint(self) -> str:
        """The output line that most likely names the cause: the last bad one, else the last."""
        bad = [line for line in self.lines if any(word in line for word in _BAD_NEWS)]
        return (bad or list(self.lines) or ["(no output)"])[-1].strip()

    async def start(self) -> None:
        """Start the program. Raises StartError if it is not there or not executable."""
        if self.running:
            raise StartError(f"{self.name} runs already as process {self.pid}")
        if not os.access(self._argv[0], os.X_OK):
            raise StartError(f"{self.name} cannot start: {self._argv[0]} is not an executable file")
        self.lines.clear()
        launch = [sys.executable, "-I", "-S", str(_CHILD)]
        launch += [str(int(self._death_signal)), str(os.getpid()), str(self._uid)]
        # A pipe of our own: with asyncio's, the wait for the exit can last until every heir of
        # the pipe is gone too (Python 3.11).
        read_end, write_end = os.pipe()
        try:
            self._child = await asyncio.create_subprocess_exec(
                *launch,
                *self._argv,
                env=self._env,
                cwd=self._cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=write_end,
                stderr=asyncio.subprocess.STDOUT,
                process_group=0,
            )
        except BaseException:
            os.close(read_end)
            raise
        finally:
            os.close(write_end)
        self._pump = asyncio.create_task(self._read(read_end), name=f"output of {self.name}")

    async def wait(self) -> int:
        """Wait for the exit and the rest of the output; returns the exit code."""
        code = await self._started().wait()
        if self._pump is not None:
            _, unread = await asyncio.wait({self._pump}, timeout=_EOF_S)
            if unread:
                # Left-overs of its group hold the pipe open; nothing may outlive its owner.
                with suppress(ProcessLookupError):
                    os.killpg(self.pid, signal.SIGKILL)
                await asyncio.wait({self._pump}, timeout=_EOF_S)
                self._pump.cancel()
        return code

    async def saw(self, text: str, timeout_s: float) -> None:
        """Wait for an output line that contains `text`. StartError if it exits or is late."""
        found: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        watch = (text, found)
        self._watches.append(watch)
        try:
            if any(text in line for line in self.lines):
                return
            if self._pump is None or self._pump.done():
                found.set_result(False)
            async with asyncio.timeout(timeout_s):
                if await found:
                    return
        except TimeoutError:
            raise StartError(
                f"{self.name} did not start within {timeout_s:g} s: {self.complaint()}"
            ) from None
        finally:
            self._watches.remove(watch)
        code = await self.wait()
        raise StartError(f"{self.name} died at its start with code {code}: {self.complaint()}")

    async def ready(self, url: str, timeout_s: float = 30.0) -> None:
        """Poll `url` until it answers 200. StartError if the process exits or it takes longer."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        async with httpx.AsyncClient(trust_env=False, verify=False, timeout=2.0) as client:
            while True:
                if not self.running:
                    code = await self.wait()
                    raise StartError(
                        f"{self.name} exited with code {code} before it was ready; its last"
                        f" output:\n{self.tail()}"
                    )
                try:
                    answer = await client.get(url)
                except httpx.TransportError:
                    said = "nothing"
                else:
                    if answer.status_code == 200:
                        return
                    said = f"{answer.status_code} {answer.text[:200].strip()}"
                if loop.time() >= deadline:
                    raise StartError(
                        f"{self.name} was not ready within {timeout_s:g} s: {url} answered {said};"
                        f" its last output:\n{self.tail()}"
                    )
                await asyncio.sleep(_POLL_S)

    async def stop(self, grace_s: float = 10.0, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end, after `grace_s` kill it and what it started; returns the exit code."""
        if self.running:
            self.resume()
            self._signal(self.pid, sig)
            try:
                async with asyncio.timeout(grace_s):
                    await self._started().wait()
            except TimeoutError:
                self.kill()
        return await self.wait()

    def kill(self) -> None:
        """SIGKILL it and everything it started, at once; `wait` for the end."""
        if self.running:
            # Stopped first, so that it starts nothing between the look and the kill.
            self._signal(self.pid, signal.SIGSTOP)
            for pid in (self.pid, *_descendants(self.pid)):
                self._signal(pid, signal.SIGKILL)

    def suspend(self) -> None:
        """Freeze it and everything it started: sockets stay open, nothing answers."""
        if self.running:
            self._signal(self.pid, signal.SIGSTOP)
            for pid in _descendants(self.pid):
                self._signal(pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Undo `suspend`; harmless on a running process."""
        if self.running:
            for pid in (*_descendants(self.pid), self.pid):
                self._signal(pid, signal.SIGCONT)

    def _started(self) -> asyncio.subprocess.Process:
        if self._child is None:
            raise StartError(f"{self.name} was never started")
        return self._child

    @staticmethod
    def _signal(pid: int, sig: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.kill(pid, sig)

    async def _read(self, read_end: int) -> None:
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(read_end, "rb", 0)
        )
        pending = b""
        try:
            while chunk := await stream.read(_MAX_LINE_BYTES):
                *whole, pending = (pending + chunk).split(b"\n")
                for line in whole:
                    self._take(line)
                if len(pending) > _MAX_LINE_BYTES:
                    self._take(pending)
                    pending = b""
            if pending:
                self._take(pending)
        finally:
            transport.close()
            for _, found in self._watches:
                if not found.done():
                    found.set_result(False)

    def _take(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip("\r")
        self.lines.append(line)
        for text, found in self._watches:
            if text in line and not found.done():
                found.set_result(True)
        if self._on_line is not None:
            try:
                self._on_line(line)
            except Exception as error:  # the pipe must be emptied whatever a listener does
                asyncio.get_running_loop().call_exception_handler(
                    {"message": f"listener to the output of {self.name}", "exception": error}
                )


async def run(
    name: str,
    argv: Sequence[str | Path],
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
    uid: int | None = None,
    timeout_s: float = 60.0,
) -> Process:
    """Run a program to its end, well or badly: see `returncode`. StartError if it takes longer."""
    process = Process(name, argv, env=env, cwd=cwd, uid=uid)
    await process.start()
    try:
        async with asyncio.timeout(timeout_s):
            await process.wait()
    except TimeoutError:
        raise StartError(f"{name} did not end within {timeout_s:g} s: {process.tail(1)}") from None
    finally:
        process.kill()
        await process.wait()
    return process


def _descendants(pid: int) -> list[int]:
    """Processes below `pid`, nearest first; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError, ValueError, IndexError):
            # The name in parentheses may hold spaces; the parent is the second field after it.
            parent = int(stat.read_text(errors="replace").rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = list(children.get(pid, []))
    for child in found:
        found += children.get(child, [])
    return found
