"""Request targets (RFC 9112, section 3.2)."""

from urllib.parse import unquote_to_bytes


def path_and_query(target: bytes) -> tuple[str, bytes]:
    """The percent-decoded path and the raw query of a target in origin, absolute or asterisk form.

    Raises:
        ValueError: none of these forms, a fragment, or a path that does not decode as UTF-8.
    """
    if b"#" in target:
        raise ValueError("the request target has a fragment")
    if target[:1] != b"/" and target != b"*":
        target = _origin_form(target)
    path, _, query = target.partition(b"?")
    if b"%" not in path:
        return path.decode("ascii"), query
    decoded = unquote_to_bytes(path)
    if b"\0" in decoded:
        raise ValueError("the path has a NUL")
    return decoded.decode("utf-8"), query


def _origin_form(target: bytes) -> bytes:
    scheme, separator, rest = target.partition(b"://")
    if not separator or scheme.lower() not in {b"http", b"https"} or rest[:1] in {b"", b"/", b"?"}:
        raise ValueError("the request target is neither a path nor an http URL")
    authority_end = min((at for at in (rest.find(b"/"), rest.find(b"?")) if at >= 0), default=len(rest))
    path = rest[authority_end:]
    return path if path[:1] == b"/" else b"/" + path
