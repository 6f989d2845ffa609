"""All resources of a record held against Google's documents."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from conformance.adjustments import adjust
from conformance.discovery import schema
from conformance.translation import body_of, target_of
from conformance.validation import problems


def resource_problems(token: str, inputs: Mapping[str, Any]) -> list[str]:
    """What Google's API would refuse about one resource.

    Raises:
        UnmappedError: nobody has said what it is.
    """
    target = target_of(token)
    if token == "gcp:monitoring/dashboard:Dashboard":  # noqa: S105 - a type token
        # Pulumi passes it on as it is.
        return problems(json.loads(inputs["dashboardJson"]), schema(target.document, target.schema))
    body, made = body_of(token, adjust(token, inputs))
    return problems(body, made, target.given)


def all_problems(resources: Iterator[tuple[str, str, Mapping[str, Any]]]) -> list[str]:
    """What Google's API would refuse, each with the resource's type and name."""
    return [
        f"{token} {name}: {problem}"
        for token, name, inputs in resources
        for problem in resource_problems(token, inputs)
    ]
