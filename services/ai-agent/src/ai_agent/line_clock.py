"""Maps the model's audio clock (ms of audio appended to a session) to the call's line_ms and back
(pure).
"""

from protocol.audio import BYTES_PER_MS

KEPT = 64
"""Gaps that are remembered; a turn never reaches back over so many."""


class LineClock:
    """Fed with what is appended to the session, in order; ``jump`` says where on the line the
    next byte is.

    The session's clock knows no gaps: audio that was not sent does not exist for the model.
    """

    def __init__(self) -> None:
        self._sent_bytes = 0
        self._anchors: list[tuple[int, int]] = []  # (session_ms, line_ms) from which both run alike

    @property
    def session_ms(self) -> int:
        return self._sent_bytes // BYTES_PER_MS

    def jump(self, line_ms: int) -> None:
        """The next byte was said at ``line_ms``."""
        if self._anchors and self.line_ms(self.session_ms) == line_ms:
            return
        if self._anchors and self._anchors[-1][0] == self.session_ms:
            self._anchors.pop()
        self._anchors.append((self.session_ms, line_ms))
        del self._anchors[:-KEPT]

    def sent(self, size: int) -> None:
        """``size`` bytes were appended."""
        self._sent_bytes += size

    def dropped(self, size: int, behind: int) -> None:
        """``size`` bytes that count as appended never reached the session; ``behind`` bytes were
        appended after them.
        """
        at = (self._sent_bytes - behind - size) // BYTES_PER_MS
        over = at + size // BYTES_PER_MS
        resumes_ms = self.line_ms(over)
        before = [anchor for anchor in self._anchors if anchor[0] < at]
        after = [(ms - over + at, line_ms) for ms, line_ms in self._anchors if ms > over]
        self._anchors = [*before, (at, resumes_ms), *after][-KEPT:]
        self._sent_bytes -= size

    def line_ms(self, session_ms: int) -> int:
        """Where on the line the session's ``session_ms`` was said; before the first jump they are
        the same.
        """
        for anchor_session, anchor_line in reversed(self._anchors):
            if session_ms >= anchor_session:
                return anchor_line + session_ms - anchor_session
        if self._anchors:
            anchor_session, anchor_line = self._anchors[0]
            return max(0, anchor_line + session_ms - anchor_session)
        return session_ms
