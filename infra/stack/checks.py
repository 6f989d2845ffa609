"""Whether configuration and manifests fit together, before anything is declared."""

from collections.abc import Iterator

from sluicegate import settings
from sluicegate.manifest import Manifest
from stack.config import StackConfig, StackConfigurationError
from stack.inventory import BUCKETS, GENERATED_SECRETS, KEYS
from stack.plan import Plan


def check(plan: Plan) -> None:
    """All that is wrong, at once.

    Raises:
        StackConfigurationError: one line per problem, with its remedy.
    """
    problems = [*_secrets(plan), *_variables(plan), *_access(plan), *_rollout(plan), *_images(plan)]
    if problems:
        raise StackConfigurationError("\n".join(problems))


def _schema(manifest: Manifest) -> set[str]:
    return {name.upper() for name in getattr(settings, manifest.settings.name).model_fields}


def _declared(manifests: tuple[Manifest, ...]) -> set[str]:
    return {name for each in manifests for name in (*each.secrets.required, *each.secrets.optional)}


def _secrets(plan: Plan) -> Iterator[str]:
    given = {*plan.config.secrets, *GENERATED_SECRETS}
    for manifest in plan.manifests if plan.deploys else ():
        for name in sorted(set(manifest.secrets.required) - given):
            yield (
                f"sluicegate:stack.secrets: {name} is required by {manifest.name}; add a version to the "
                f"secret and name it here"
            )
    for name in sorted(set(plan.config.secrets) - _declared(plan.manifests)):
        yield (f"sluicegate:stack.secrets.{name}: in no function's [secrets]; add it there or remove it")
    for name in sorted(set(plan.config.secrets) & set(GENERATED_SECRETS)):
        yield f"sluicegate:stack.secrets.{name}: the stack makes this one itself; remove it"


def _variables(plan: Plan) -> Iterator[str]:
    known = set().union(*map(_schema, plan.manifests)) if plan.manifests else set()
    for name in sorted(plan.config.variables):
        if name in _declared(plan.manifests):
            yield (
                f"sluicegate:stack.variables.{name}: is a secret; store it in Secret Manager and name it "
                "under secrets"
            )
        elif name not in known:
            yield f"sluicegate:stack.variables.{name}: no function has such a setting; see .env.example"


def _access(plan: Plan) -> Iterator[str]:
    names = {each.name for each in plan.manifests}
    for manifest in plan.manifests:
        access, where = manifest.access, f"functions/{manifest.name}/function.toml: access"
        for kind, wanted, there in (
            ("buckets", access.buckets, BUCKETS),
            ("keys", access.keys, KEYS),
            ("calls", access.calls, names),
            ("runs", access.runs, names),
        ):
            for name in wanted:
                if name not in there:
                    yield f"{where}.{kind}: there is no {name}; there are {', '.join(sorted(there))}"
        wrong = manifest.trigger.object and manifest.trigger.object.bucket not in BUCKETS
        if wrong and manifest.trigger.object is not None:
            yield f"{where[:-8]}: trigger.object: there is no bucket {manifest.trigger.object.bucket}"
        if manifest.trigger.schedule and not manifest.trigger.topic:
            yield f"{where[:-8]}: trigger.schedule: needs a topic that it is published to"


def _rollout(plan: Plan) -> Iterator[str]:
    services = {each.name for each in plan.services}
    for name in sorted(set(plan.config.rollout) - services):
        yield f"sluicegate:stack.rollout.{name}: there is no such service"


def _images(plan: Plan) -> Iterator[str]:
    images = plan.config.images
    for manifest in plan.manifests if images else ():
        if getattr(images, manifest.image) is None:
            yield f"sluicegate:stack.images.{manifest.image}: needed by {manifest.name}"


def image_of(config: StackConfig, manifest: Manifest) -> str:
    """The image that a function runs; `check` has seen that there is one."""
    image = getattr(config.images, manifest.image)
    assert isinstance(image, str)  # noqa: S101 - told by `check`, for the type checker
    return image
