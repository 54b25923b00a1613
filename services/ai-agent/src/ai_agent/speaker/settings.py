"""Settings of the speaker: a part of ai-agent's Settings, which inherits them."""

from typing import Annotated

from msgspec import Meta

from runtime.settings import CommonSettings


class SpeakerSettings(CommonSettings, frozen=True, kw_only=True):
    """Read from the environment; see the README's table."""

    speaker_providers: Annotated[
        tuple[str, ...],
        Meta(
            description="Who speaks without a conversation, in this order: openai-realtime, "
            "openai-speech, espeak (those that need a key are left out without one)"
        ),
    ] = ("openai-realtime", "openai-speech", "espeak")
    openai_speech_realtime_model: Annotated[
        str, Meta(description="Realtime model that reads texts aloud")
    ] = "gpt-realtime-2.1-mini"
    openai_speech_model: Annotated[
        str, Meta(description="Model of the speech API; those known so far end in January 2027")
    ] = "gpt-4o-mini-tts"
    openai_speech_voice: Annotated[
        str, Meta(description="Voice of the speech API; empty: the sentence's own")
    ] = ""
    espeak_voice: Annotated[
        str, Meta(description="Variant of espeak-ng's voices, like m3 or f3; empty: none")
    ] = "m3"
    speaker_first_audio_s: Annotated[
        float,
        Meta(gt=0, le=60, description="Seconds until a provider must have begun, else the next"),
    ] = 3.0
    speaker_prompts_dir: Annotated[
        str,
        Meta(
            description="Folder of own recordings that replace shipped prompts, as mu-law 8 kHz "
            "files <language>/<name>.ulaw; empty: none"
        ),
    ] = ""
