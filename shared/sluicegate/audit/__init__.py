"""Audit: a log of what was done that proves itself, also to those who trust neither operator nor code."""
