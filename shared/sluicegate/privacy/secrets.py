"""Secrets: names of fields that hold them, and what keys and tokens look like in text."""

import re

STAND_IN = "[secret]"

_FIELD = re.compile(
    r"(?:^|[_\-.])(?:pass(?:word|wd|phrase)?|pwd|secrets?|api_?keys?|apikey|access_?key|private_?key|signing_?key|"
    r"encryption_?key|client_?secret|tokens?|bearer|jwt|authorization|auth|credentials?|cookies?|set_cookie|"
    r"session_?id|csrf|otp|pin|cvv|cvc|connection_?string|dsn)$",
    re.IGNORECASE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# Counts of tokens, and ids of keys, are no secrets.
_COUNTED = re.compile(
    r"(?:^|_)(?:input|output|cached|cached_input|cache_write|reasoning|prompt|completion|total|max)_tokens$",
    re.IGNORECASE,
)

_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----(?:.*?-----END [A-Z ]*PRIVATE KEY-----|.*)"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}(?:\.[A-Za-z0-9_-]*)?"
    r"|\b(?:sk|pk|rk)[-_][A-Za-z0-9_-]{16,}"
    r"|\bslg_[A-Za-z0-9_-]{8,}"
    r"|\bgh[opsur]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}|\bglpat-[A-Za-z0-9_-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}|\bya29\.[A-Za-z0-9_-]{20,}|\bGOCSPX-[A-Za-z0-9_-]{16,}"
    r"|\bxox[abeprs]-[A-Za-z0-9-]{10,}|\bhf_[A-Za-z0-9]{20,}|\bnpm_[A-Za-z0-9]{20,}|\bpypi-[A-Za-z0-9_-]{20,}"
    r"|\bpcsk_[A-Za-z0-9_]{16,}|\bSG\.[A-Za-z0-9_-]{16,}\.[A-Za-z0-9_-]{16,}|\bPRIVATE\+KEY\+\S+"
    r"|(?<=://)[^\s/:@]*:[^\s/@]+(?=@)"
    r"|(?<=[Bb]earer )[A-Za-z0-9._~+/=-]{12,}|(?<=[Bb]asic )[A-Za-z0-9+/=]{12,}"
    r"|(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=api_key=)|(?<=apikey=))[^\s&\"',;]+",
    re.DOTALL,
)

# One of these is in whatever the pattern finds: most text has none, and is done without the pattern.
_MARKS = (
    "-----BEGIN ", "eyJ", "sk-", "sk_", "pk-", "pk_", "rk-", "rk_", "slg_", "ghp_", "gho_", "ghs_", "ghu_",
    "ghr_", "github_pat_", "glpat-", "AKIA", "ASIA", "AIza", "ya29.", "GOCSPX-", "xox", "hf_", "npm_",
    "pypi-", "SG.", "PRIVATE+KEY+", "://", "earer ", "asic ",
)  # fmt: skip
_LOWER_MARKS = ("password=", "passwd=", "secret=", "token=", "api_key=", "apikey=")


def is_secret_field(name: str) -> bool:
    """Whether a field of this name holds a secret, whatever its value looks like."""
    plain = _CAMEL.sub("_", name).replace("-", "_")
    return _FIELD.search(plain) is not None and _COUNTED.search(plain) is None


def without_secrets(text: str) -> str:
    """`text` with `[secret]` in the place of everything that looks like a key, a token or a password."""
    return _TEXT.sub(STAND_IN, text) if may_hold_secrets(text) else text


def may_hold_secrets(text: str) -> bool:
    """Whether `without_secrets` could find anything; False is certain."""
    for mark in _MARKS:
        if mark in text:
            return True
    if "=" not in text:
        return False
    lower = text.lower()
    return any(mark in lower for mark in _LOWER_MARKS)
