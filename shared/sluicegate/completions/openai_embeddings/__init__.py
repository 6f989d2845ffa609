"""OpenAI embeddings (`/v1/embeddings`)."""
