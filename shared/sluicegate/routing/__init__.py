"""Routing: which model answers, at which provider, and what to try when it fails."""
