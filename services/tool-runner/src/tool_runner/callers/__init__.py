"""Callers: the people with a number who own the todos."""
