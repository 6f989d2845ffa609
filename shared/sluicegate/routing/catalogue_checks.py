"""Mistakes in `models.yaml` that show only when its parts are seen together, each with its place in it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic_core import InitErrorDetails, PydanticCustomError

if TYPE_CHECKING:
    # Only for the annotations: the policy's validator calls this module.
    from sluicegate.routing.catalogue_policy import ModelsPolicy

AUTO = "auto"


def catalogue_problems(policy: "ModelsPolicy") -> list[InitErrorDetails]:
    """Names given twice, names nobody has, models without a price, fallbacks in a circle."""
    problems = [*_name_problems(policy), *_model_problems(policy), *_reference_problems(policy)]
    return problems or _cycle_problems(policy)


def _name_problems(policy: "ModelsPolicy") -> list[InitErrorDetails]:
    problems = []
    seen: dict[str, str] = {AUTO: "a word of its own"}
    for kind, name, location in _names(policy):
        if name in seen:
            problems.append(_problem(location, f"{name!r} is already {seen[name]}; choose another name"))
        seen[name] = kind
    providers: set[str] = set()
    for index, provider in enumerate(policy.providers):
        if provider.name in providers:
            problems.append(
                _problem(("providers", index, "name"), f"provider {provider.name!r} is there twice")
            )
        providers.add(provider.name)
    return problems


def _names(policy: "ModelsPolicy") -> list[tuple[str, str, tuple[str | int, ...]]]:
    names: list[tuple[str, str, tuple[str | int, ...]]] = []
    for index, model in enumerate(policy.models):
        names.append((f"the model {model.id!r}", model.id, ("models", index, "id")))
        for field in ("aliases", "snapshots"):
            names.extend(
                (f"among the {field} of {model.id!r}", name, ("models", index, field, at))
                for at, name in enumerate(getattr(model, field))
            )
    names.extend(("a pool", pool.name, ("pools", index, "name")) for index, pool in enumerate(policy.pools))
    return names


def _model_problems(policy: "ModelsPolicy") -> list[InitErrorDetails]:
    problems = []
    providers = {provider.name for provider in policy.providers}
    required = ("provider", "prices", "capabilities", "context_tokens", "output_tokens_limit", "as_of")
    for index, model in enumerate(policy.models):
        at: tuple[str | int, ...] = ("models", index)
        if model.profile is not None and model.profile not in policy.profiles:
            problems.append(_problem((*at, "profile"), f"profile {model.profile!r} is not under `profiles`"))
            continue
        traits = policy.traits(model)
        missing = [name for name in required if traits[name] is None]
        if missing:
            problems.append(_problem((*at, "id"), f"{model.id!r} has no {', '.join(missing)}; add it here"))
        elif traits["provider"] not in providers:
            problems.append(
                _problem(
                    (*at, "provider"),
                    f"provider {traits['provider']!r} of {model.id!r} is not under `providers`",
                )
            )
    return problems


def _reference_problems(policy: "ModelsPolicy") -> list[InitErrorDetails]:
    known = {name for _, name, location in _names(policy) if location[0] == "models"}
    references: list[tuple[str, tuple[str | int, ...]]] = []
    for index, model in enumerate(policy.models):
        references += [(name, ("models", index, "fallbacks", at)) for at, name in enumerate(model.fallbacks)]
    for index, pool in enumerate(policy.pools):
        references += [(name, ("pools", index, "models", at)) for at, name in enumerate(pool.models)]
    return [
        _problem(location, f"no model is called {name!r}; add it or correct the name")
        for name, location in references
        if name not in known
    ]


def _cycle_problems(policy: "ModelsPolicy") -> list[InitErrorDetails]:
    owner = {
        name: model.id for model in policy.models for name in (model.id, *model.aliases, *model.snapshots)
    }
    following = {model.id: [owner[name] for name in model.fallbacks] for model in policy.models}
    done: set[str] = set()
    problems = []
    for index, model in enumerate(policy.models):
        cycle = _cycle(model.id, following, done)
        if cycle:
            problems.append(
                _problem(
                    ("models", index, "fallbacks"),
                    f"fallbacks go in a circle: {' → '.join(cycle)}; break it",
                )
            )
    return problems


def _cycle(start: str, following: dict[str, list[str]], done: set[str]) -> list[str]:
    """The first circle met from `start` in depth-first order, or nothing; visited models join `done`."""
    path: list[str] = []
    stack: list[tuple[str, bool]] = [(start, False)]
    while stack:
        name, leaving = stack.pop()
        if leaving:
            path.pop()
            done.add(name)
        elif name in path:
            return [*path[path.index(name) :], name]
        elif name not in done:
            path.append(name)
            stack.append((name, True))
            stack += [(after, False) for after in reversed(following[name])]
    return []


def _problem(location: Sequence[str | int], message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("catalogue", "{message}", {"message": message}),
        loc=tuple(location),
        input=None,
    )
