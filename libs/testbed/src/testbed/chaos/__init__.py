"""Faults against many calls at once: what each caller should have heard, and what they did hear.

`python -m testbed.chaos` prints the table. Audio is never touched from end to end, so every word is
a byte pattern that names itself (`voice`); a deterministic model answers (`mind`), simulated
callers ask and listen (`caller`), faults strike by seed (`strikes`, `rows`), and `judge` compares
with an undisturbed run.
"""
