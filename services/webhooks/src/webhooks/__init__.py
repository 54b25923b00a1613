"""Twilio's HTTP side of Trunkline: what a call does first, next and at its end."""
