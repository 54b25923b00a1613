"""Speech that names itself: every 20 ms of it say whose word it is, and which piece. Pure.

A piece is 160 mu-law bytes, one header of 16 bytes ten times, all loud: it survives the way
through every service unchanged or not at all. Six bits a byte.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

PIECE_BYTES = 160
PIECE_MS = 20
WORD_PIECES = 10
WORD_MS = PIECE_MS * WORD_PIECES
QUESTION_PIECES = 30
NOBODY = 0x3FFFF
"""The call of words that the model says before it knows whom it hears."""

# mu-law codes of about +-2,000 to +-8,000: clearly audile speech for any detector
_CODES = bytes([*range(0xA0, 0xC0), *range(0x20, 0x40)])
_VALUES = {code: value for value, code in enumerate(_CODES)}
_MAGIC = bytes(_CODES[value] for value in (0x2A, 0x15, 0x3C))
_HEADER_BYTES = 16
_WIDTHS = (1, 3, 2, 2, 1, 3)

Speaker = Literal[0, 1]
CALLER: Speaker = 0
ASSISTANT: Speaker = 1


class Piece(NamedTuple):
    """20 ms of a word: `source` numbers the utterance that it was rendered for."""

    speaker: int
    call: int
    question: int
    word: int
    piece: int
    source: int


def sound(piece: Piece) -> bytes:
    """The 160 bytes of a piece."""
    values: list[int] = []
    for number, width in zip(piece, _WIDTHS, strict=True):
        assert 0 <= number < 64**width, f"{number} does not fit into {width} bytes"
        values += [(number >> 6 * shift) & 63 for shift in reversed(range(width))]
    values.append(sum((index + 1) * value for index, value in enumerate(values)) % 64)
    return (_MAGIC + bytes(_CODES[value] for value in values)) * (PIECE_BYTES // _HEADER_BYTES)


def pieces(audio: bytes | bytearray, start: int = 0) -> Iterator[tuple[int, Piece]]:
    """Every whole piece in `audio` from `start` on, with its offset; damaged ones are left out."""
    at = audio.find(_MAGIC, start)
    while at >= 0:
        found = _read(audio, at)
        if found is not None:
            yield at, found
        at = audio.find(_MAGIC, at + (1 if found is None else PIECE_BYTES))


def word(call: int, question: int, number: int, source: int) -> bytes:
    """A word of the assistant's, 200 ms."""
    return b"".join(
        sound(Piece(ASSISTANT, call, question, number, index, source))
        for index in range(WORD_PIECES)
    )


def question(call: int, number: int) -> bytes:
    """The caller's question `number`, 600 ms."""
    return b"".join(
        sound(Piece(CALLER, call, number, 0, index, 0)) for index in range(QUESTION_PIECES)
    )


def _read(audio: bytes | bytearray, at: int) -> Piece | None:
    header = audio[at : at + _HEADER_BYTES]
    whole = audio[at : at + PIECE_BYTES]
    if len(whole) < PIECE_BYTES or whole != header * (PIECE_BYTES // _HEADER_BYTES):
        return None
    try:
        values = [_VALUES[code] for code in header[len(_MAGIC) :]]
    except KeyError:
        return None
    *values, check = values
    if sum((index + 1) * value for index, value in enumerate(values)) % 64 != check:
        return None
    numbers: list[int] = []
    for width in _WIDTHS:
        number = 0
        for value in values[:width]:
            number = number << 6 | value
        numbers.append(number)
        del values[:width]
    return Piece(*numbers)
