"""Anthropic messages (`/v1/messages`)."""
