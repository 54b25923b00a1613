"""Renders the sentences that stream-ingress speaks itself: `python -m testbed.sentences [FOLDER]`.

A maintainer runs it after a change of the words and commits the files, mu-law 8 kHz without a
header, one a sentence. Needs the extra `testbed[voice]`; nothing runs it at run time.
"""

import argparse
from pathlib import Path

from testbed.voice.speaker import ASSISTANT_VOICE, synthesize

ENGLISH = {"hold": "One moment please, I am connecting you."}
REPOSITORY = Path(__file__).resolve().parents[4]
FOLDER = REPOSITORY / "services/stream-ingress/src/stream_ingress/sentences/en"


def render(folder: Path) -> list[Path]:
    """Write every sentence as `<name>.ulaw` into `folder`; the files written."""
    folder.mkdir(parents=True, exist_ok=True)
    written: list[Path] = []
    for name, words in ENGLISH.items():
        path = folder / f"{name}.ulaw"
        path.write_bytes(synthesize(words, ASSISTANT_VOICE))
        written.append(path)
    return written


def main() -> None:
    """Parse the arguments, render, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m testbed.sentences", description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=FOLDER)
    for path in render(parser.parse_args().folder):
        print(f"{path} ({path.stat().st_size / 8_000:.1f} s)")


if __name__ == "__main__":
    main()
