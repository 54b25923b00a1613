"""Callers and todos in Postgres, and the tools that an assistant calls."""
