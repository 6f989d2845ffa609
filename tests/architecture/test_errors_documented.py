import ast
import importlib
import pkgutil
import re

import pytest

import sluicegate
from sluicegate.completions.anthropic.errors import error_type
from sluicegate.kernel import errors
from sluicegate.kernel.errors import SluicegateError

ROW = re.compile(r"^\| `(\w+)` \| (\d{3}) \| `(\w+)` \| `(\w+)` \| (.+) \| (.+) \|$", re.MULTILINE)


def _kinds(kind=SluicegateError):
    for each in kind.__subclasses__():
        yield each
        yield from _kinds(each)


NEVER_ON_THE_WIRE = {"cache_unavailable", "client_left"}


@pytest.fixture(scope="module")
def kinds():
    """Every error class of the package, by code."""
    for module in pkgutil.walk_packages(sluicegate.__path__, "sluicegate."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    return {
        kind.code: kind for kind in (SluicegateError, *_kinds()) if kind.__module__.startswith("sluicegate.")
    }


@pytest.fixture(scope="module")
def rows(documents):
    found = ROW.findall(documents["docs/errors.md"])
    assert len({row[0] for row in found}) == len(found)
    return {row[0]: row for row in found}


def test_codes_of_the_kernel_s_errors_are_their_own():
    declared = [kind for kind in vars(errors).values() if isinstance(kind, type) and "code" in vars(kind)]
    codes = [kind.code for kind in declared]
    assert len(codes) == len(set(codes))
    # 'overloaded' and 'dependency_unavailable' share 503: a code alone must tell errors apart.
    assert all(400 <= kind.status < 600 for kind in declared)


def test_every_error_is_documented_with_its_status_and_types(kinds, rows):
    for code, kind in kinds.items():
        if code in NEVER_ON_THE_WIRE:
            continue
        assert code in rows, f"docs/errors.md has no row for {code} ({kind.__name__})"
        error = kind.__new__(kind)
        assert rows[code][1:4] == (str(kind.status), kind.kind, error_type(error))


def test_nothing_is_documented_that_does_not_exist(kinds, rows):
    assert rows.keys() <= kinds.keys()


def test_what_the_server_refuses_is_documented(package, documents):
    refused = {
        (node.args[0].value, node.args[1].value)
        for source in package
        if source.name.startswith("sluicegate.web.server")
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Call)
        and getattr(node.func, "id", "") == "RefusedError"
        and isinstance(node.args[0], ast.Constant)
    }
    assert refused
    for status, code in refused:
        assert f"{status} `{code}`" in documents["docs/errors.md"]
