"""The gateway's HTTP edge: its routes, its errors in the caller's own protocol, its documentation."""
