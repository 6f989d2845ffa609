"""Trains the complexity classifier offline: `python -m sluicegate.routing.training`."""
