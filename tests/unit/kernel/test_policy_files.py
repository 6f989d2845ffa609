"""Policies: overlaid file by file, and wrong ones say where."""

import pytest

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicyModel, PolicySet


class Inner(PolicyModel):
    limit: int


class Example(PolicyModel):
    name: str
    items: tuple[Inner, ...] = ()


@pytest.fixture
def shipped(tmp_path):
    folder = tmp_path / "shipped"
    folder.mkdir()
    (folder / "example.yaml").write_text("name: shipped\nitems:\n  - limit: 1\n")
    return folder


def test_a_file_of_the_overlay_replaces_the_shipped_one_whole(tmp_path, shipped):
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    before = PolicySet(overlay, shipped)
    assert before.load("example", Example).name == "shipped"
    version = before.version()
    (overlay / "example.yaml").write_text("name: mine\n")
    after = PolicySet(overlay, shipped)
    assert after.load("example", Example) == Example(name="mine")
    assert after.version() != version


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("name: x\nitems:\n  - limit: 1\n  - limit: many\n", "example.yaml:4: items.1.limit"),
        ("name: x\nitem: []\n", "example.yaml:2: item"),
        ("items: []\n", "example.yaml:1: name"),
        ("name: [unclosed\n", "example.yaml:2: not valid YAML"),
        ("- 1\n", "example.yaml:1: example"),
        ("name: !!python/object/apply:os.system [id]\n", "not valid YAML"),
    ],
)
def test_what_is_wrong_is_named_with_file_line_and_field(shipped, text, where):
    (shipped / "example.yaml").write_text(text)
    with pytest.raises(ConfigurationError) as error:
        PolicySet(None, shipped).load("example", Example)
    assert where in error.value.message


def test_a_missing_file_or_folder_is_an_error(tmp_path, shipped):
    with pytest.raises(ConfigurationError, match=r"other\.yaml is missing"):
        PolicySet(None, shipped).load("other", Example)
    with pytest.raises(ConfigurationError, match="SLUICEGATE_POLICY_DIR"):
        PolicySet(tmp_path / "nowhere", shipped)


def test_a_file_that_is_too_large_or_not_text_is_an_error(shipped):
    (shipped / "example.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        PolicySet(None, shipped).load("example", Example)
    (shipped / "example.yaml").write_bytes(b"#" * (1 << 20) + b"\n#")
    with pytest.raises(ConfigurationError, match="larger"):
        PolicySet(None, shipped).load("example", Example)
