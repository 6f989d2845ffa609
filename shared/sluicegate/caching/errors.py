"""What can go wrong with the cache. None of it ever reaches a caller: the request runs as a miss."""

from sluicegate.kernel.errors import DependencyUnavailableError


class CacheLevelError(DependencyUnavailableError):
    """A level, or the tags' generations, cannot be read or written now."""

    code = "cache_unavailable"


class CorruptEntryError(CacheLevelError):
    """What a level returned is not an entry of ours, or not the one that was asked for."""
