"""The demo's terminal: progress while things start, then the call as its events tell it."""

import sys
import time
from typing import Any

Event = dict[str, Any]
_COLOURS = {"caller": "36", "assistant": "33", "tool": "35", "call": "2", "good": "32", "bad": "31"}


class Screen:
    """Prints lines; colours only on a terminal."""

    def __init__(self) -> None:
        self._colour = sys.stdout.isatty()
        self._began = time.monotonic()

    def step(self, text: str) -> None:
        """One step of the start that is done."""
        seconds = time.monotonic() - self._began
        print(f"  {seconds:5.1f} s  {text}", flush=True)

    def say(self, text: str, colour: str = "") -> None:
        print(self._painted(text, colour), flush=True)

    def event(self, event: Event) -> None:
        """One line for each event that a person following the call wants to see."""
        line = self._line(event)
        if line is not None:
            who, text = line
            at = event["at"][11:23]
            print(f"  {at}  {self._painted(f'{who:9}', who)}  {text}", flush=True)

    def _line(self, event: Event) -> tuple[str, str] | None:
        match event["event"]:
            case "ringing":
                return "call", f"ringing: {masked(event['caller'])} calls {masked(event['called'])}"
            case "stream_started":
                return "call", f"media stream open at {event['ingress']}"
            case "assigned":
                return "call", f"held by {event['worker']}"
            case "session_opened":
                tools = ", ".join(tool["name"] for tool in event["tools"])
                return "call", f"session of {event['model']} as {event['profile']}; tools: {tools}"
            case "turn_transcribed":
                return "caller", event["text"] or "(not understood)"
            case "said" if event["done"]:
                return "assistant", event["text"]
            case "key_pressed":
                return "caller", f"key {event['digit']}"
            case "pin_rejected":
                return "call", f"PIN is wrong, {event['tries_left']} tries left"
            case "pin_accepted":
                return "call", "PIN is right"
            case "mode_changed" if event["mode"] != "conversation":
                return "call", f"{event['mode']} ({event['reason']})"
            case "tool_called":
                return "tool", f"{event['name']}({event['arguments']})"
            case "tool_returned":
                return "tool", f"-> {event['result']} ({event['took_ms']} ms)"
            case "response_timed":
                return "call", f"answered {event['response_ms']} ms after the caller stopped"
            case "barged_in":
                return "caller", f"interrupts after {event['heard_ms']} ms"
            case "call_ended":
                return "call", f"ended: {event['reason'].replace('_', ' ')}"
            case _:
                return None

    def _painted(self, text: str, colour: str) -> str:
        code = _COLOURS.get(colour)
        return f"\x1b[{code}m{text}\x1b[0m" if self._colour and code else text


def masked(number: str) -> str:
    """A number as screens show it: `+15****0001`."""
    return f"{number[:3]}****{number[-4:]}" if len(number) > 8 else "****"
