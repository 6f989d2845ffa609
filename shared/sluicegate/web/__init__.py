"""The HTTP edge: wire types, authentication of requests, error mapping, the gateway's server."""
