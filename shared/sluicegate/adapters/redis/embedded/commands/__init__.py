"""The commands the embedded server knows, by kind of value."""
