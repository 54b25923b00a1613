"""Words that name themselves: what was rendered is found again, whatever happened on the way."""

from hypothesis import given
from hypothesis import strategies as st

from testbed.chaos import voice
from testbed.chaos.voice import Piece
from testbed.realtime.vad import is_loud

PIECES = st.builds(
    Piece,
    speaker=st.sampled_from([voice.CALLER, voice.ASSISTANT]),
    call=st.integers(0, voice.NOBODY),
    question=st.integers(0, 4095),
    word=st.integers(0, 4095),
    piece=st.integers(0, 63),
    source=st.integers(0, 0x3FFFF),
)


@given(st.lists(PIECES, max_size=12), st.binary(max_size=200))
def test_what_was_rendered_is_read_again_in_order(said: list[Piece], before: bytes) -> None:
    # 0xFF is silence; the header's codes never hold it.
    audio = bytes(0xFF for _ in before) + b"".join(voice.sound(piece) for piece in said)
    found = list(voice.pieces(audio))
    assert [piece for _, piece in found] == said
    assert [at for at, _ in found] == [
        len(before) + index * voice.PIECE_BYTES for index in range(len(said))
    ]


@given(st.lists(PIECES, min_size=3, max_size=6), st.data())
def test_a_hole_costs_only_the_pieces_it_touches(said: list[Piece], data: st.DataObject) -> None:
    audio = b"".join(voice.sound(piece) for piece in said)
    start = data.draw(st.integers(0, len(audio) - 1))
    end = data.draw(st.integers(start + 1, len(audio)))
    holed = audio[:start] + audio[end:]
    kept = [
        piece
        for index, piece in enumerate(said)
        if (index + 1) * voice.PIECE_BYTES <= start or index * voice.PIECE_BYTES >= end
    ]
    found = [piece for _, piece in voice.pieces(holed)]
    # Two halves of one and the same piece may make a whole one again; nothing else may appear.
    assert set(found) <= set(said)
    assert [piece for piece in found if piece in kept] == [p for p in found if p in set(kept)]
    assert set(kept) <= set(found)


@given(st.binary(max_size=4000))
def test_noise_is_no_word(noise: bytes) -> None:
    assert list(voice.pieces(noise)) == []


@given(PIECES)
def test_a_flipped_byte_is_noticed(piece: Piece) -> None:
    sound = bytearray(voice.sound(piece))
    sound[77] ^= 1
    assert list(voice.pieces(sound)) == []


def test_a_detector_hears_speech_in_it() -> None:
    audio = voice.question(7, 3)
    assert len(audio) == 600 * 8
    for at in range(0, len(audio), voice.PIECE_BYTES):
        assert is_loud(audio[at : at + voice.PIECE_BYTES], 0.5)
    assert len(voice.word(7, 3, 1, 9)) == voice.WORD_MS * 8
