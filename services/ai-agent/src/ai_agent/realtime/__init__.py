"""The OpenAI Realtime API (GA, WebSocket): the only room that knows the ``openai`` package."""
