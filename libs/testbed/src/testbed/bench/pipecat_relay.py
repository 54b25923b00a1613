"""The same call as pipecat carries it: one pipeline of its FastAPI transport, Twilio serializer and
OpenAI Realtime service a call, all in one process; no tools, no record of the call.

`PYTHON pipecat_relay.py PORT MODEL_URL`: prints `ready`, runs until standard input ends. PYTHON has
pipecat-ai[websocket,openai] and uvicorn, and knows nothing of this package.
"""
# pyright: basic, reportMissingImports=false
# pipecat is none of the project's requirements: its types are unknown here.

import asyncio
import gc
import sys

import uvicorn
from fastapi import FastAPI, WebSocket
from loguru import logger
from pipecat.frames.frames import LLMRunFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.services.openai.realtime.events import (
    AudioConfiguration,
    AudioInput,
    InputAudioTranscription,
    SemanticTurnDetection,
    SessionProperties,
)
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService
from pipecat.transports.websocket.fastapi import (
    FastAPIWebsocketParams,
    FastAPIWebsocketTransport,
)
from pipecat.workers.runner import WorkerRunner

LINE_RATE = 8_000


async def carry(phone: WebSocket, model_url: str) -> None:
    """One call, until the caller's socket closes."""
    await phone.accept()
    await phone.receive_json()  # connected
    start = (await phone.receive_json())["start"]
    serializer = TwilioFrameSerializer(
        stream_sid=start["streamSid"],
        params=TwilioFrameSerializer.InputParams(auto_hang_up=False),
    )
    transport = FastAPIWebsocketTransport(
        websocket=phone,
        params=FastAPIWebsocketParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            add_wav_header=False,
            serializer=serializer,
        ),
    )
    properties = SessionProperties(
        audio=AudioConfiguration(
            input=AudioInput(
                transcription=InputAudioTranscription(), turn_detection=SemanticTurnDetection()
            )
        )
    )
    model = OpenAIRealtimeLLMService(
        api_key="a-key-of-the-model",
        base_url=model_url,
        settings=OpenAIRealtimeLLMService.Settings(
            system_instruction="You are a helpful assistant.", session_properties=properties
        ),
    )
    context = LLMContext([{"role": "user", "content": "Greet the caller."}])
    user, assistant = LLMContextAggregatorPair(context)
    worker = PipelineWorker(
        Pipeline([transport.input(), user, model, transport.output(), assistant]),
        params=PipelineParams(audio_in_sample_rate=LINE_RATE, audio_out_sample_rate=LINE_RATE),
    )

    @transport.event_handler("on_client_connected")
    async def connected(*_: object) -> None:
        await worker.queue_frames([LLMRunFrame()])

    @transport.event_handler("on_client_disconnected")
    async def disconnected(*_: object) -> None:
        await worker.cancel()

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await runner.run()


async def _main(port: int, model_url: str) -> None:
    logger.remove()
    logger.add(sys.stderr, level="ERROR")
    app = FastAPI()

    async def media(phone: WebSocket) -> None:
        await carry(phone, model_url)

    app.add_api_websocket_route("/twilio/media", media)
    config = uvicorn.Config(
        app, port=port, lifespan="off", log_level="error", ws="websockets-sansio"
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.01)
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.force_exit = server.should_exit = True
    await serving


if __name__ == "__main__":
    gc.set_threshold(100_000, 50, 50)
    asyncio.run(_main(int(sys.argv[1]), sys.argv[2].partition("?")[0]))
