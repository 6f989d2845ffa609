"""Exports: a tenant's entries as files that prove themselves, offline."""
