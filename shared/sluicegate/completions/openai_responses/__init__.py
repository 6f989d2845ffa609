"""OpenAI responses (`/v1/responses`)."""
