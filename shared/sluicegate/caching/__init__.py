"""Response caching: keys, levels, coalescing, invalidation. Never across tenants."""
