"""The history: every call's events kept in PostgreSQL, searched, counted, and forgotten."""
