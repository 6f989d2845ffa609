import ast
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """A Python file: its dotted name, and what it imports, at the top or anywhere within."""

    path: Path
    name: str
    tree: ast.Module

    @property
    def imports(self):
        """The dotted names of all modules imported; `from a import b` counts as `a` and as `a.b`."""
        found = set()
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                assert node.level == 0, f"{self.path}: a relative import hides where it leads"
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
        return found


@cache
def sources_below(folder):
    """All Python files below a folder of the repository."""
    base = ROOT / folder
    origin = ROOT / "shared" if folder.startswith("shared") else ROOT
    found = []
    for path in sorted(base.rglob("*.py")):
        parts = path.relative_to(origin).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Source(path, name, ast.parse(path.read_text("utf-8"), str(path))))
    assert found, f"no Python files below {base}"
    return tuple(found)


@pytest.fixture(scope="session")
def package():
    return sources_below("shared/sluicegate")


@pytest.fixture(scope="session")
def sources():
    return sources_below


@pytest.fixture(scope="session")
def root():
    return ROOT


@pytest.fixture(scope="session")
def documents():
    """The text of every Markdown page, by its path from the repository's root."""
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    return {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in pages}
