"""Logs whose every step can be watched, stopped or put in any order; and what must hold of any log."""
