"""What a response or transcription consumed: OpenAI's usage as the contract's tokens (pure)."""

from ai_agent.realtime.events import Usage
from protocol.events import Tokens


def tokens_of(usage: Usage) -> Tokens:
    """Tokens by modality. Details may be null: then the counts they would give are 0."""
    inputs, outputs = usage.input_token_details, usage.output_token_details
    cached = inputs.cached_tokens_details if inputs else None
    return Tokens(
        text_in=inputs.text_tokens if inputs else 0,
        audio_in=inputs.audio_tokens if inputs else 0,
        cached_text_in=cached.text_tokens if cached else 0,
        cached_audio_in=cached.audio_tokens if cached else 0,
        text_out=outputs.text_tokens if outputs else usage.output_tokens,
        audio_out=outputs.audio_tokens if outputs else 0,
    )
