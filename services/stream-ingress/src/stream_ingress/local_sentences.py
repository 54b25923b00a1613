"""The few sentences that ingress speaks itself, as mu-law 8 kHz files in ``sentences/<language>/``.

app loads them at start; line_out plays them as items ``local:<name>``. They are rendered by
``python -m testbed.sentences``.
"""

from importlib import resources
from typing import Literal

from runtime.errors import ServiceError

Name = Literal["hold", "moment"]
Sentences = dict[Name, bytes]
NAMES: tuple[Name, ...] = ("hold", "moment")
LANGUAGE = "en"


def load(language: str = LANGUAGE) -> Sentences:
    """Every sentence of a language. Raises ServiceError naming a file that is missing or empty."""
    folder = resources.files("stream_ingress") / "sentences" / language
    sentences: Sentences = {}
    for name in NAMES:
        file = folder / f"{name}.ulaw"
        try:
            audio = file.read_bytes()
        except OSError:
            audio = b""
        if not audio:
            raise ServiceError(
                f"the spoken sentence {language}/{name}.ulaw is missing from the installation: "
                "render it with python -m testbed.sentences and install again"
            )
        sentences[name] = audio
    return sentences
