"""Settings of ai-agent."""

from typing import Annotated

from msgspec import Meta

from ai_agent.speaker.settings import SpeakerSettings
from runtime.settings import Secret


class Settings(SpeakerSettings, frozen=True, kw_only=True):
    """Read from the environment; see the README's table."""

    openai_api_key: Annotated[Secret, Meta(description="Key of the OpenAI API")]
    openai_base_url: Annotated[
        str, Meta(description="Base of the OpenAI API, if not the public one (https://host/v1)")
    ] = ""
    openai_model: Annotated[
        str, Meta(description="Realtime model, unless a profile names another")
    ] = "gpt-realtime-2.1"
    openai_transcription_model: Annotated[
        str, Meta(description="Model that transcribes the caller, unless a profile names another")
    ] = "gpt-transcribe"
    openai_moderation_model: Annotated[
        str, Meta(description="Model of the output check, where a profile asks for moderation")
    ] = "omni-moderation-latest"
    openai_connect_s: Annotated[
        float, Meta(gt=0, description="Seconds to open and configure a session, each try")
    ] = 5.0
    openai_session_s: Annotated[
        int,
        Meta(ge=1, description="Seconds after which a session is renewed, in a pause of the talk"),
    ] = 3300
    assistants_dir: Annotated[str, Meta(description="Folder of the assistant profiles")] = (
        "assistants"
    )
    agent_worker: Annotated[
        str,
        Meta(
            pattern="^[A-Za-z0-9_-]{0,128}$",
            description="Name of this worker; empty: made of host name and process id",
        ),
    ] = ""
    agent_slots: Annotated[int, Meta(ge=1, description="Calls that this worker holds at once")] = 50
    agent_drain_s: Annotated[
        int, Meta(ge=0, description="Seconds that calls may go on after SIGTERM")
    ] = 60
    agent_line_wait_s: Annotated[
        float,
        Meta(gt=0, description="Seconds that a call whose line ended is kept for its next line"),
    ] = 15.0
    audio_batch_ms: Annotated[
        int,
        Meta(ge=20, le=200, description="Caller audio goes to the model in pieces about this long"),
    ] = 60
    agent_admin_port: Annotated[int, Meta(description="Port of health and metrics")] = 9083
