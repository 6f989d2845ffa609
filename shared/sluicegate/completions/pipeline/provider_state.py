"""State that a provider keeps between requests: shared by everyone who uses its account.

An id of a stored answer is good for whoever presents it with the gateway's credential, whatever tenant it
came from. So requests that refer to such state are refused unless policy says that this deployment has
one tenant only (`provider_state: allow`).
"""

from collections.abc import Mapping
from typing import Any

from sluicegate.kernel.errors import InvalidRequestError

REFERENCES = ("previous_response_id", "conversation", "prompt", "background")


def refuse_references(body: Mapping[str, Any]) -> None:
    """Pass if `body`, of the Responses protocol, stands by itself.

    Raises:
        InvalidRequestError: it refers to state at the provider; `param` says where.
    """
    for name in REFERENCES:
        if body.get(name):
            raise _refusal(name)
    items = body.get("input")
    if isinstance(items, list):
        for index, item in enumerate(items):
            if isinstance(item, Mapping) and item.get("type") == "item_reference":
                raise _refusal(f"input.{index}")


def _refusal(param: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{param} refers to state kept at the provider, which tenants would share; send the whole "
        "conversation, or set provider_state: allow in completions.yaml where there is one tenant only",
        param=param,
    )
