"""Objectives, thresholds and what is done when they are missed."""
