"""A small Redis in Python, for development without a Redis: one process, durable, the same Lua scripts.

It is meant for one machine and modest traffic; `docs/embedded-redis.md` lists where it differs from Redis.
"""
