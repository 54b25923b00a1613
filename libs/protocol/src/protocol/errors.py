"""Errors of the contract: what a decoder, an id constructor or a token check may raise."""


class ProtocolError(Exception):
    """Root of all errors raised by this package."""


class InvalidToken(ProtocolError):
    """A text cannot stand as one token of a NATS subject (ADR-6: no dot, ``*``, ``>`` or space)."""


class DecodeError(ProtocolError):
    """Bytes from the wire are not the message that the subject promises. Names the place, not the
    content.
    """


class StreamTokenError(ProtocolError):
    """A stream token is malformed, signed with another secret, or expired."""
