"""Completions: the canonical request, the OpenAI and Anthropic codecs, streams, the pipeline."""
