"""Privacy: what must not be stored, found in text and data, and what stands in for it."""
