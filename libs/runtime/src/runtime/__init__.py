"""The chassis that every service stands on: settings, logging, metrics, health, NATS, tasks,
signals.
"""
