"""Every governed action is declared, told by something, classified by policy, and documented."""

import ast
import re
from fnmatch import fnmatchcase

from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.usage_actions import usage_action
from sluicegate.kernel.events import USAGE_RECORDED, Event
from sluicegate.kernel.governed import ACTIONS
from sluicegate.kernel.policy_files import PolicySet

POLICY = PolicySet().load("audit", AuditPolicy)
REGISTRY = "sluicegate.kernel.governed"

# Classified already, for what they are about is known; told once guardrails and approvals are built.
LATER = {"guardrail.*", "approval.*"}

NAMES = {
    value: name
    for name, value in vars(__import__(REGISTRY, fromlist=["x"])).items()
    if value in list(ACTIONS)
}
FAMILY = re.compile(
    rf"(?:{'|'.join(sorted({each.partition('.')[0] for each in ACTIONS}))})(?:\.[a-z_]+){{1,2}}"
)
FILES = {"audit.db"}


def literals(source):
    """The texts in a file's code; docstrings are none."""
    documents = {
        id(node.body[0].value)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
            yield node.value


def told_of_usage():
    """What the log makes of usage events, by who tells them."""
    for source, event_id in (
        ("/functions/gateway", "req_1"),
        ("/sluicegate/admission", "req_1:estimated"),
        ("/sluicegate/admission", "req_1:withdrawn"),
    ):
        event = Event(event_id, source, USAGE_RECORDED, 5.0, "acme", "req_1", {"outcome": "success"})
        yield usage_action(event).action


def told_in(package):
    """Actions that a module names: by the registry's constant, or in words."""
    found = set(told_of_usage())
    for source in package:
        if source.name == REGISTRY or source.name.endswith(".policy"):
            continue
        imported = {name.rpartition(".")[2] for name in source.imports if name.startswith(f"{REGISTRY}.")}
        found |= {value for value, name in NAMES.items() if name in imported}
        found |= {text for text in literals(source) if text in ACTIONS}
    return found


def test_every_action_is_told_by_something(package):
    assert set(ACTIONS) - told_in(package) == set()


def test_every_action_that_is_told_is_declared(package):
    said = {
        (text, source.name)
        for source in package
        for text in literals(source)
        if FAMILY.fullmatch(text) and text not in FILES
    }
    assert {each for each in said if each[0] not in ACTIONS} <= {
        # What became of data, within the payload of `data.changed`.
        ("cache.invalidated", "sluicegate.cli.cache"),
    }


def test_an_action_is_told_by_name_and_not_made_up(package):
    """The second argument of `governed_action` is a name: what it says is checked above."""
    for source in package:
        for node in ast.walk(source.tree):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "governed_action"
            ):
                action = node.args[1]
                parts = [action.body, action.orelse] if isinstance(action, ast.IfExp) else [action]
                assert all(isinstance(each, ast.Name | ast.Attribute) for each in parts), source.path


def test_policy_classifies_every_action_by_a_rule_of_its_family():
    rules = [rule.action for rule in POLICY.classes]
    assert rules[-1] == "*", "whatever is not known is classified, too"
    for action in ACTIONS:
        assert any(fnmatchcase(action, rule) for rule in rules[:-1]), action


def test_policy_names_no_action_that_nobody_tells():
    rules = {rule.action for rule in POLICY.classes} - {"*"}
    idle = {rule for rule in rules if not any(fnmatchcase(action, rule) for action in ACTIONS)}
    assert idle == LATER, "an action that is told now is no longer to come"
    assert set(POLICY.in_leaf) <= set(ACTIONS)


def test_the_page_lists_every_action_with_what_it_says(documents):
    page = documents["docs/audit.md"]
    rows = dict(re.findall(r"^\| `([a-z_.]+)` \| ([^|]+) \|", page, re.MULTILINE))
    assert {action: rows.get(action, "").strip() for action in ACTIONS} == dict(ACTIONS)
    assert {name for name in rows if FAMILY.fullmatch(name)} - FILES == set(ACTIONS)
