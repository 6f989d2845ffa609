"""Commands as Redis reads them."""

from collections.abc import Callable
from typing import cast

import hiredis

Arg = bytes | str | int | float

# One command as bytes of RESP: text as UTF-8, numbers in decimal. TypeError for any other type.
# (hiredis' own annotation allows one argument only.)
pack = cast("Callable[[tuple[Arg, ...]], bytes]", hiredis.pack_command)
