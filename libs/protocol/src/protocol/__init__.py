"""The contract of Trunkline: messages, subjects, the pure fold of a call's events.

No I/O, no clock, no environment, no logging: every service, test and outside subscriber may
import it.
"""
