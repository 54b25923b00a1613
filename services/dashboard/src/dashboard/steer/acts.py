"""What operators may do to a running call: the fields of a form as a command, and why something
cannot be done now (pure).
"""

import re
from collections.abc import Mapping
from typing import Literal, get_args

from msgspec import Struct

from dashboard.masking import mask
from protocol.call import CallState
from protocol.commands import (
    TEXT_MAX,
    ChangeMode,
    Command,
    GiveBack,
    HangUp,
    Say,
    TakeOver,
    Transfer,
    Whisper,
)

ActName = Literal["whisper", "say", "hang_up", "transfer", "change_mode", "take_over", "give_back"]
ACTS: tuple[ActName, ...] = get_args(ActName)
_NUMBER = re.compile(r"\+[1-9]\d{4,14}")
_BETWEEN = str.maketrans("", "", " -./()")


class Unasked(ValueError):
    """The form asks for nothing that can be done; the text is for whoever filled it in."""


class Asked(Struct, frozen=True):
    """An act: the command for the worker, ``detail`` for log and trail (never words that were
    typed, never a whole number), ``done`` for whoever asked.
    """

    act: ActName
    command: Command
    detail: str
    done: str


def asked(form: Mapping[str, str], by: str) -> Asked:
    """What ``form`` asks for in the name of ``by``. Raises Unasked. Taking over is no form: it
    needs a voice.
    """
    match form.get("act", ""):
        case "whisper":
            text = _words(form, "whisper")
            done = "The assistant was told; the caller heard nothing."
            return Asked("whisper", Whisper(by, text), _length(text), done)
        case "say":
            text = _words(form, "have said")
            return Asked("say", Say(by, text), _length(text), "The assistant says it.")
        case "hang_up" if form.get("when") == "now":
            return Asked("hang_up", HangUp(by, now=True), "now", "Hung up.")
        case "hang_up":
            done = "Hangs up when what is being said was heard."
            return Asked("hang_up", HangUp(by), "after the sentence", done)
        case "transfer":
            to = _number(form.get("to", ""))
            detail = mask(to) if to else "the human of the profile"
            done = "The caller is being put through."
            return Asked("transfer", Transfer(by, to), detail, done)
        case "change_mode":
            return _mode(form.get("mode", ""), by)
        case "give_back":
            return give_back(by)
        case _:
            raise Unasked("This form asks for nothing.")


def take_over(by: str) -> Asked:
    """Speaking in the assistant's place."""
    return Asked("take_over", TakeOver(by), "", "You are speaking to the caller.")


def give_back(by: str) -> Asked:
    """The end of that."""
    return Asked("give_back", GiveBack(by), "", "The assistant goes on.")


def hindrance(state: CallState, act: ActName, operator: str) -> str:
    """Why ``operator`` cannot do ``act`` now, in a sentence; empty: they can, as far as the log
    says.
    """
    general = _no_call(state, act) or _no_worker(state, act)
    if general:
        return general
    other = state.operator if state.operator not in {"", operator} else ""
    match act:
        case "give_back" if not state.operator:
            return "Nobody has taken the call over."
        case "give_back" | "take_over" | "say" | "change_mode" if other:
            return f"{other} is speaking to the caller."
        case "say" | "change_mode" if state.operator:
            return "You are speaking to the caller yourself."
        case "take_over" if state.operator:
            return "You are speaking to the caller already."
        case "whisper" | "say" | "change_mode" | "take_over" if state.mode == "gate":
            return "The caller stands at the gate."
        case "whisper" if state.mode == "keypad":
            return "The keypad menu is on: no model listens."
        case _:
            return ""


def _no_call(state: CallState, act: ActName) -> str:
    if state.phase == "ended":
        return "The call is over."
    if act != "hang_up" and not state.legs:
        return "Nobody has answered yet."
    return ""


def _no_worker(state: CallState, act: ActName) -> str:
    if act in {"hang_up", "transfer"}:
        return ""  # webhooks does these without one
    return "" if state.epoch else "No worker holds this call."


def _words(form: Mapping[str, str], verb: str) -> str:
    text = " ".join(form.get("text", "").split())
    if not text:
        raise Unasked(f"Write what to {verb} first.")
    if len(text) > TEXT_MAX:
        raise Unasked(f"At most {TEXT_MAX:,} characters; this has {len(text):,}.")
    if any(not sign.isprintable() for sign in text):
        raise Unasked("There is a sign in it that nobody can say.")
    return text


def _length(text: str) -> str:
    return f"{len(text)} characters"


def _number(text: str) -> str | None:
    number = text.translate(_BETWEEN)
    if not number:
        return None
    if not _NUMBER.fullmatch(number):
        raise Unasked("Write the number with + and the country first, like +12125550100.")
    return number


def _mode(mode: str, by: str) -> Asked:
    match mode:
        case "keypad":
            done = "The keypad menu is on."
            return Asked("change_mode", ChangeMode(by, "keypad"), mode, done)
        case "conversation":
            done = "The model has the conversation."
            return Asked("change_mode", ChangeMode(by, "conversation"), mode, done)
        case _:
            raise Unasked("Choose the keypad menu or the conversation.")
