"""Renders the sentences that services ship as files: `python -m testbed.sentences`.

Two sets: what stream-ingress speaks itself (below), and the prompts of ai-agent's speaker, whose
words stand in its prompts/<language>.toml. A maintainer runs it after a change of the words and
commits the files, mu-law 8 kHz without a header, one a sentence. Needs the extra
`testbed[voice]`; nothing runs it at run time.
"""

import argparse
import tomllib
from collections.abc import Mapping
from pathlib import Path

from testbed.voice.speaker import ASSISTANT_VOICE, synthesize

INGRESS = {
    "hold": "One moment please, I am connecting you.",
    "moment": "One moment please, I am still here.",
}
REPOSITORY = Path(__file__).resolve().parents[4]
INGRESS_FOLDER = "services/stream-ingress/src/stream_ingress/sentences/en"
PROMPTS_FOLDER = "services/ai-agent/src/ai_agent/speaker/prompts"
VOICES = {"en": ASSISTANT_VOICE}
"""By language; the list of a language without an own voice is spoken by espeak-ng's plain one."""


def render(folder: Path, words: Mapping[str, str], voice: str) -> list[Path]:
    """Write every sentence as `<name>.ulaw` into `folder`, delete those that are no longer in the
    list; the files written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.ulaw"):
        if stale.stem not in words:
            stale.unlink()
    written: list[Path] = []
    for name, text in words.items():
        path = folder / f"{name}.ulaw"
        path.write_bytes(synthesize(text, voice))
        written.append(path)
    return written


def render_all(repository: Path) -> list[Path]:
    """Both sets, every language that has a list; the files written."""
    written = render(repository / INGRESS_FOLDER, INGRESS, ASSISTANT_VOICE)
    for listed in sorted((repository / PROMPTS_FOLDER).glob("*.toml")):
        words = tomllib.loads(listed.read_text(encoding="utf-8"))
        voice = VOICES.get(listed.stem, listed.stem)
        written += render(listed.with_suffix(""), words, voice)
    return written


def main() -> None:
    """Parse the arguments, render, and say what was written."""
    parser = argparse.ArgumentParser(prog="python -m testbed.sentences", description=__doc__)
    parser.add_argument("repository", nargs="?", type=Path, default=REPOSITORY)
    for path in render_all(parser.parse_args().repository):
        print(f"{path} ({path.stat().st_size / 8_000:.1f} s)")


if __name__ == "__main__":
    main()
