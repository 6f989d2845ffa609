"""CRC32C, by which Google's services tell that nothing was changed on the way."""

from sluicegate.adapters.gcp.errors import GoogleError


def crc32c(content: bytes) -> int:
    """The checksum (RFC 3720, appendix B.4)."""
    from google_crc32c import value  # noqa: PLC0415 - a part of the extra `gcp`

    checksum: int = value(content)
    return checksum


def check(service: str, content: bytes, checksum: int) -> bytes:
    """`content`, if it is as it was sent.

    Raises:
        GoogleError: it is not; asking again may help.
    """
    if crc32c(content) != checksum:
        raise GoogleError(f"{service}: an answer was changed on the way", retry_after=0.1)
    return content


def demand(service: str, what: str, *, verified: bool) -> None:
    """Raise GoogleError unless the service found that what it was sent is as it was sent."""
    if not verified:
        raise GoogleError(f"{service}: {what} was changed on the way", retry_after=0.1)
