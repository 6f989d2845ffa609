"""The way a request takes: read, route, look up, admit, ask, settle, answer."""
