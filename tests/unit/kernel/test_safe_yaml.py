"""What YAML can do to its reader, and is not let do."""

import pytest

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicyModel, PolicySet
from sluicegate.kernel.safe_yaml import YamlError, parse_yaml


class Empty(PolicyModel):
    """A policy that says nothing."""


def levels(shape: str) -> str:
    """Twelve levels of nine references each to the one before: 9^12 nodes."""
    lines = ["a0: &a0 {k: x}"]
    for level in range(1, 12):
        inner = ", ".join([f"*a{level - 1}"] * 9)
        lines.append(f"a{level}: &a{level}\n  {shape.format(inner)}\n  q{level}: 1")
    return "\n".join(lines)


@pytest.mark.parametrize("shape", ["x: [{}]", "<<: [{}]"])
def test_aliases_that_expand_to_billions_are_refused(shape):
    with pytest.raises(YamlError, match="aliases are expanded"):
        parse_yaml(levels(shape))


@pytest.mark.parametrize("text", ["a: &x [*x]", "a: &x {b: *x}", "a: &x {b: [{c: *x}]}"])
def test_nothing_contains_itself(text):
    with pytest.raises(YamlError, match=r"\*x contains itself"):
        parse_yaml(text)


def test_depth_is_bounded_before_anything_recurses():
    with pytest.raises(YamlError, match="nested deeper"):
        parse_yaml("a: " + "[" * 200_000 + "]" * 200_000)


@pytest.mark.parametrize(
    "text", ["limit: 1\nlimit: 2", "a: {limit: 1, limit: 2}", "- a\n- b: [{c: 1,\n c: 2}]", 'a: 1\n"a": 2']
)
def test_of_two_values_for_one_key_neither_is_taken(text):
    with pytest.raises(YamlError, match="given twice"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["a: 2026-13-45", "a: " + "9" * 5_000, "a: 2026-01-01 99:99:99"])
def test_values_out_of_range_are_said_to_be(text):
    with pytest.raises(YamlError, match="out of range"):
        parse_yaml(text)


@pytest.mark.parametrize("text", ["a: 1\n---\na: 2", "a: [", "\x00", "a: !!python/object/apply:os.getpid []"])
def test_what_is_no_plain_document_is_refused_with_its_line(text):
    with pytest.raises(YamlError, match="not valid YAML") as refused:
        parse_yaml(text)
    assert refused.value.line >= 1


def test_aliases_and_merges_of_ordinary_size_work():
    node, content = parse_yaml("a: &a {x: 1, y: 2}\nb: {<<: *a, y: 3}\nc: [*a, *a]")
    assert content == {"a": {"x": 1, "y": 2}, "b": {"x": 1, "y": 3}, "c": [{"x": 1, "y": 2}] * 2}
    assert node.start_mark.line == 0
    assert parse_yaml("") == (None, None)


@pytest.mark.parametrize("kind", ["folder", "dangling"])
def test_an_overlay_that_cannot_be_read_never_means_the_shipped_limits(tmp_path, kind):
    if kind == "folder":
        (tmp_path / "budgets.yaml").mkdir()
    else:
        (tmp_path / "budgets.yaml").symlink_to(tmp_path / "gone")
    with pytest.raises(ConfigurationError, match=r"budgets\.yaml: not a file"):
        PolicySet(tmp_path).load("budgets", Empty)
