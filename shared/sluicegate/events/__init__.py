"""The event bus: from whoever tells an event to all that must apply it, at least once, dead letters kept."""
