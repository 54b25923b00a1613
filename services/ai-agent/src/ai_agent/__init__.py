"""Holds the conversation of a call: the OpenAI Realtime session, tools, transcript, usage."""
