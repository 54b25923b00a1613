"""A call in plain sentences, event by event, for a terminal: pure."""

from protocol import events as e
from protocol.event_base import EndReason

STATUSES = {
    "initiated": "Twilio dials.",
    "ringing": "It rings.",
    "in-progress": "It was answered.",
    "busy": "The line is busy.",
    "no-answer": "Nobody answered.",
    "canceled": "It was called off before anybody answered.",
    "failed": "The call failed: no such number, or the network refused it.",
}
"""Twilio's words for how a call stands; those that say nothing new are left out."""
ENDS: dict[EndReason, str] = {
    "caller_hung_up": "the person hung up",
    "assistant_hung_up": "our side hung up",
    "transferred": "it was passed to a human",
    "busy": "the line was busy, or no agent was free",
    "no_answer": "nobody answered",
    "canceled": "it was called off before anybody answered",
    "failed": "it could not be carried on",
    "completed": "it was ended",
    "lost": "its line was lost and did not come back",
    "refused": "this caller may not be served",
}
NEVER_TALKED: frozenset[EndReason] = frozenset({"busy", "no_answer", "canceled", "failed"})
TAKEN = {
    "placed": "An assistant takes the call.",
    "takeover": "Another worker takes the call over: its worker was lost.",
    "handover": "Another worker takes the call over: its worker is stopped.",
}


def sentence(event: e.AnyEvent, *, words: bool = False) -> str | None:
    """What ``event`` means to somebody who waits for the call; None: nothing. ``words``: also
    what is said.
    """
    match event:
        case e.StatusChanged(status=status):
            return STATUSES.get(status)
        case e.MachineDetected(answered_by=by):
            return f"Who answered, by Twilio's ear: {by.replace('_', ' ')}."
        case e.StreamStarted(previous_leg=before):
            return "The line is back, on a new media socket." if before else "The line is open."
        case e.Assigned(reason=reason):
            return TAKEN[reason]
        case e.PinRequested():
            return "A PIN is asked for."
        case e.PinAccepted():
            return "The PIN was right."
        case e.PinRejected(tries_left=left):
            return f"The PIN was wrong, {left} tries are left."
        case e.CallerAdmitted(standing="refused", reason=reason):
            return f"The assistant may not serve this number: {reason.replace('_', ' ')}."
        case e.SessionOpened(model=model, generation=generation):
            again = " again" if generation > 1 else ""
            return f"The session with {model} is open{again}."
        case e.SessionLost(reason=reason):
            return f"The session with the model was lost: {reason}."
        case e.ModeChanged(mode="keypad", reason=reason):
            return f"It goes on with the keypad menu{f': {reason}' if reason else ''}."
        case e.LimitReached(limit=limit):
            return f"A limit of the profile was reached: {limit}."
        case e.DialEnded(status=status):
            return f"Passing it to a human ended: {status.replace('_', ' ')}."
        case e.CallEnded(reason=reason):
            return f"The call is over: {ENDS[reason]}."
        case _:
            return _words(event) if words else None


def _words(event: e.AnyEvent) -> str | None:
    match event:
        case e.TurnTranscribed(text=text) if text:
            return f"  caller:    {text}"
        case e.Said(text=text, done=True):
            return f"  assistant: {text}"
        case e.ToolCalled(name=name):
            return f"  tool:      {name}"
        case _:
            return None
