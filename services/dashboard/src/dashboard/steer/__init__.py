"""Steering: what operators do to a running call, and what of it cannot be done now."""
