"""Personal data in text: e-mail and IP addresses, telephone, card, account and social security numbers."""

import re
from collections.abc import Callable
from functools import partial
from ipaddress import ip_address

_EMAIL = re.compile(r"(?<![\w.+-])[\w.+'-]{1,64}@(?:[\w-]{1,63}\.)+[^\W\d_]{2,24}(?![\w-])")
_CARD = re.compile(r"(?<![\w.-])(?:\d[ -]?){12,18}\d(?![\w-])")
_IBAN = re.compile(r"(?<!\w)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?!\w)")
_SSN = re.compile(r"(?<![\w-])(?!000|666|9\d\d)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\w-])")
_PHONE = re.compile(
    r"(?<![\w.+/-])(?:\+\d{1,3}[ .-]?(?:\(\d{1,4}\)[ .-]?)?\d{1,4}(?:[ .-]?\d{2,4}){1,4}"
    r"|\(\d{2,4}\)[ .-]?\d{3,4}[ .-]?\d{3,4}"
    r"|0\d{1,4}[ /-]\d{3,8}(?:[ -]?\d{2,4})?"
    r"|\d{3}[ .-]\d{3}[ .-]\d{4})(?![\w-])"
)
_IP = re.compile(
    r"(?<![\w.])(?<![0-9A-Fa-f]:)(?<!::)(?:\d{1,3}(?:\.\d{1,3}){3}|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4})(?![\w:]|\.\d)"
)

_ANY = re.compile(r"@|(?<!\w)\d[\d .():/-]{5,}\d|:[0-9A-Fa-f]{0,4}:|(?<!\w)[A-Z]{2}\d{2}")
"""What every one of the above contains: most text has nothing of it, and is done in one search."""


def may_hold_personal_data(text: str) -> bool:
    """Whether `mask_personal_data` could find anything; False is certain."""
    return _ANY.search(text) is not None


def mask_personal_data(text: str) -> str:
    """`text` with `[email]`, `[card]`, `[iban]`, `[ssn]`, `[phone]`, `[ip]` in the place of each of those."""
    if not may_hold_personal_data(text):
        return text
    for pattern, stand_in, holds in _RULES:
        text = pattern.sub(partial(_replaced, stand_in, holds), text)
    return text


def luhn(digits: str) -> bool:
    """Whether the check digit of a card number is right (ISO/IEC 7812-1, annex B)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) * (1 + place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0


def iban_checks(text: str) -> bool:
    """Whether the check digits of an IBAN are right (ISO 13616: the remainder by 97 is 1)."""
    plain = text.replace(" ", "")
    return (
        15 <= len(plain) <= 34
        and int("".join(str(int(each, 36)) for each in plain[4:] + plain[:4])) % 97 == 1
    )


def _replaced(stand_in: str, holds: Callable[[str], bool], match: re.Match[str]) -> str:
    return stand_in if holds(match[0]) else match[0]


def _is_card(text: str) -> bool:
    digits = re.sub(r"[ -]", "", text)
    return 13 <= len(digits) <= 19 and luhn(digits)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


_RULES: tuple[tuple[re.Pattern[str], str, Callable[[str], bool]], ...] = (
    (_EMAIL, "[email]", bool),
    (_IBAN, "[iban]", iban_checks),
    (_CARD, "[card]", _is_card),
    (_SSN, "[ssn]", bool),
    (_IP, "[ip]", _is_address),
    (_PHONE, "[phone]", bool),
)
