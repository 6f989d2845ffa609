"""Who calls: principals, roles, API keys and tokens."""
