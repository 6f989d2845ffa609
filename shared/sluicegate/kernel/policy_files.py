"""Policies: YAML files that operators edit, read into typed models with errors that say where.

A policy set is the shipped folder, overlaid file by file by the folder that `SLUICEGATE_POLICY_DIR`
names: a file found there replaces the shipped one of the same name, whole.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.safe_yaml import YamlError, parse_yaml

MAX_FILE_BYTES = 1 << 20


class PolicyModel(BaseModel):
    """Base of every policy type: frozen, and an unknown field is an error, never ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)


P = TypeVar("P", bound=BaseModel)


class PolicySet:
    """The policy files in force.

    Args:
        overlay: a folder whose files replace the shipped ones; None for the shipped set alone.
        shipped: the folder of the shipped set; found beside the package when None.
    """

    def __init__(self, overlay: Path | None = None, shipped: Path | None = None) -> None:
        self._folders = [folder for folder in (overlay, shipped or _shipped_folder()) if folder is not None]
        if overlay is not None and not overlay.is_dir():
            raise ConfigurationError(
                f"SLUICEGATE_POLICY_DIR: {overlay} is not a folder; create it or unset the variable"
            )

    def path(self, name: str) -> Path:
        """The file that is in force for policy `name` (without `.yaml`)."""
        for folder in self._folders:
            candidate = folder / f"{name}.yaml"
            if candidate.is_file():
                return candidate
            if candidate.is_symlink() or candidate.exists():
                # Never fall back to other limits than the ones that somebody meant to set.
                raise ConfigurationError(f"{candidate}: not a file that can be read; mend it or remove it")
        raise ConfigurationError(f"policy {name}.yaml is missing from {self._folders[-1]}")

    def load(self, name: str, model: type[P]) -> P:
        """Policy `name` as a `model`.

        Raises:
            ConfigurationError: the file is missing, not YAML, or not of the model's shape; the
                message names file, line, field and what was expected.
        """
        path = self.path(name)
        text = _read(path)
        try:
            node, content = parse_yaml(text)
        except YamlError as error:
            raise ConfigurationError(f"{path}:{error.line}: {error.problem}") from None
        try:
            return model.model_validate({} if content is None else content)
        except ValidationError as error:
            problems = [
                f"{path}:{_line(node, detail['loc'])}: {'.'.join(map(str, detail['loc'])) or name}: "
                f"{detail['msg']}"
                for detail in error.errors(include_url=False)
            ]
            raise ConfigurationError("\n".join(problems)) from None

    def version(self) -> str:
        """A digest over all files in force: 16 hexadecimal digits that change when any of them does."""
        digest = hashlib.sha256()
        for path in self.files():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def files(self) -> Iterator[Path]:
        """Every file in force, by name."""
        names = sorted({path.stem for folder in self._folders for path in folder.glob("*.yaml")})
        for name in names:
            yield self.path(name)


def _shipped_folder() -> Path:
    package = Path(__file__).resolve().parent.parent
    for folder in (package / "_policies", package.parent / "policies"):
        if folder.is_dir():
            return folder
    raise ConfigurationError(f"no policies are shipped beside {package}; reinstall sluicegate")


def _read(path: Path) -> str:
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ConfigurationError(f"{path}: larger than {MAX_FILE_BYTES} bytes; split it or trim it")
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise ConfigurationError(f"{path}: not UTF-8 text; save it as UTF-8") from None


def _line(node: Any, location: Sequence[str | int]) -> int:
    """The line of the deepest part of `location` that exists in the file."""
    line = 1 if node is None else node.start_mark.line + 1
    for step in location:
        if isinstance(node, yaml.MappingNode):
            found = next((pair for pair in node.value if pair[0].value == str(step)), None)
            if found is None:
                return line
            line, node = found[0].start_mark.line + 1, found[1]
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            node = node.value[step]
            line = node.start_mark.line + 1
        else:
            return line
    return line
