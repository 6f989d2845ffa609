"""Whole logs and exports as files in memory, and ways to tamper with them."""
