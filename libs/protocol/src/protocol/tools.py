"""What an agent and a tool service in any language agree on, beside the arguments themselves.

A tool is an endpoint of the NATS service API (ADR-32) on ``tools.<name>``. Request payload: the
arguments as a JSON object, nothing else. Reply payload: a JSON object for the model. Endpoint
metadata: ``description`` and ``schema`` (JSON Schema of the arguments, as a string).
"""

CALL = "Trunkline-Call"
"""Header: the call that asks."""
CALLER = "Trunkline-Caller"
"""Header: caller_id on whose behalf; a tool must reach nothing of other callers."""
IDEMPOTENCY_KEY = "Trunkline-Idempotency-Key"
"""Header: event id of ``tool_called``; a repeated request must return the stored result and act
once.
"""
DEADLINE_MS = "Trunkline-Deadline-Ms"
"""Header: ms that the asker waits; past it the answer is not used."""
TRACEPARENT = "traceparent"

META_DESCRIPTION = "description"
META_SCHEMA = "schema"
