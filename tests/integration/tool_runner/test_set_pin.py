"""The command that sets PINs: what it does, says and refuses; the PIN never in its arguments."""

import asyncio
import os
import pty
import sys
from typing import Any

from protocol.callers import PinAccepted, PinVerdict, VerifyPin
from protocol.ids import new_call_id, new_event_id

NUMBER, SHOWN = "+15550100001", "+15****0001"
PIN = "730418"


async def command(dsn: str, *args: str, stdin: str = "") -> tuple[int | None, str, str]:
    """Exit code, standard output and error."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tool_runner.set_pin", *args),
        env={"PATH": os.defpath, "DATABASE_URL": dsn, "STARTUP_WAIT_S": "1"},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin.encode())
    return process.returncode, out.decode(), err.decode()


async def test_a_pin_is_set_changed_and_removed(runner: Any, dsn: str) -> None:
    async def verdict(digits: str) -> PinVerdict:
        asked = VerifyPin(NUMBER, new_call_id(), digits, new_event_id())
        found: PinVerdict = await runner.ask("callers.verify_pin", asked, PinVerdict)
        return found

    number = ("--number", NUMBER)
    assert await command(dsn, *number, stdin=f"{PIN}\n") == (0, f"set a PIN for {SHOWN}\n", "")
    assert await verdict(PIN) == PinAccepted(await runner.caller(NUMBER))
    assert await runner.sql("SELECT hash FROM caller_pins") is not None
    changed = f"changed the PIN of {SHOWN}\n"
    assert await command(dsn, *number, stdin="4711") == (0, changed, "")
    assert isinstance(await verdict("4711"), PinAccepted)
    assert await command(dsn, *number, "--remove") == (0, f"removed the PIN of {SHOWN}\n", "")
    assert await command(dsn, *number, "--remove") == (0, f"{SHOWN} has no PIN\n", "")
    assert await runner.sql("SELECT count(*) FROM caller_pins") == 0


async def test_a_short_number_that_the_gate_knows_can_have_a_pin(runner: Any, dsn: str) -> None:
    code, out, _ = await command(dsn, "--number", "+49110", stdin=PIN)
    assert (code, out.startswith("set a PIN for ")) == (0, True)
    owner = "SELECT number FROM callers JOIN caller_pins USING (caller_id)"
    assert await runner.sql(owner) == "+49110"


async def test_what_is_wrong_is_said_in_one_line_without_number_or_pin(dsn: str) -> None:
    for args, stdin, code, words in (
        (("--number", NUMBER), "12\n", 1, "a PIN is 4 to 8 digits"),
        (("--number", NUMBER), "", 1, "a PIN is 4 to 8 digits"),
        (("--number", NUMBER), PIN + PIN, 1, "a PIN is 4 to 8 digits"),
        (("--number", "anonymous"), PIN, 1, "the number must be like +15550100001"),
        (("--number", NUMBER[1:]), PIN, 1, "the number must be like +15550100001"),
        (
            ("--number", NUMBER, "--time-zone", "Mars"),
            *(PIN, 1, "the time zone is no IANA name such as Europe/Berlin"),
        ),
    ):
        assert await command(dsn, *args, stdin=stdin) == (code, "", f"set_pin: {words}\n")
    code, _, err = await command("", "--number", NUMBER, stdin=PIN)
    assert code == 2
    assert err.startswith("set_pin: DATABASE_URL is not set")
    code, _, err = await command("postgres://u:p@127.0.0.1:1/x", "--number", NUMBER, stdin=PIN)
    assert code == 1
    assert "nothing answers there" in err
    assert PIN not in err
    assert NUMBER not in err


async def typed(dsn: str, *lines: str) -> tuple[int | None, str]:
    """The command at a terminal: exit code, and everything that the terminal showed."""
    keyboard, terminal = pty.openpty()
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tool_runner.set_pin", "--number", NUMBER),
            env={"PATH": os.defpath, "DATABASE_URL": dsn, "STARTUP_WAIT_S": "1"},
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        os.close(terminal)
        shown = ""
        for prompt, line in zip(("PIN: ", "PIN again: "), lines, strict=True):
            while not shown.endswith(prompt):
                shown += (await asyncio.to_thread(os.read, keyboard, 1024)).decode()
            os.write(keyboard, f"{line}\n".encode())
        code = await process.wait()
        shown += os.read(keyboard, 1024).decode()
    finally:
        os.close(keyboard)
    return code, shown


async def test_a_typed_pin_is_not_shown_and_asked_for_twice(dsn: str) -> None:
    code, shown = await typed(dsn, PIN, PIN)
    assert code == 0, shown
    assert f"set a PIN for {SHOWN}" in shown
    assert PIN not in shown
    code, shown = await typed(dsn, PIN, "4711")
    assert (code, "the two PINs differ" in shown) == (1, True)
