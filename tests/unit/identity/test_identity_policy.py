import pytest

from sluicegate.identity.permissions import require
from sluicegate.identity.policy import IdentityPolicy, Permission, RolesPolicy
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import ConfigurationError, PermissionDeniedError
from sluicegate.kernel.policy_files import PolicySet


def roles() -> RolesPolicy:
    return PolicySet().load("roles", RolesPolicy)


def test_the_shipped_roles_grant_what_the_documents_say_and_ours_what_they_read():
    granted = {name: {p.value for p in role.permissions} for name, role in roles().roles.items()}
    assert granted == {
        "ai_service": {"execute_tasks", "access_models", "write_logs"},
        "human_reviewer": {"approve_changes", "provide_feedback"},
        "system_admin": {"manage_configuration", "rotate_credentials"},
        "auditor": {"view_logs", "view_spend"},
        "finance": {"view_spend"},
        "log_verifier": {"view_all_logs"},
    }


def test_the_shipped_identity_policy_has_the_documents_figures_and_fits_the_roles():
    policy = PolicySet().load("identity", IdentityPolicy)
    policy.check(roles())
    assert policy.keys.rotate_every_s == 30 * 86_400
    assert policy.tokens.issuer == "ai-sdlc"
    assert policy.tokens.max_life_s == 3_600
    assert policy.failed_attempts.limit == 5


def test_permissions_are_the_roles_union_narrowed():
    both = roles().permissions(["human_reviewer", "system_admin"])
    assert both == {"approve_changes", "provide_feedback", "manage_configuration", "rotate_credentials"}
    assert roles().permissions(["ai_service"], only=["access_models", "approve_changes"]) == {"access_models"}
    assert roles().permissions(["ai_service"], only=[]) == frozenset()


@pytest.mark.parametrize(("names", "only"), [(["root"], None), (["ai_service"], ["everything"])])
def test_unknown_roles_and_permissions_are_errors(names, only):
    with pytest.raises(ConfigurationError, match="unknown"):
        roles().permissions(names, only)


@pytest.mark.parametrize(
    ("file", "text", "where"),
    [
        ("roles", "roles:\n  a:\n    permissions: [fly]\n", r"roles\.yaml:3"),
        ("roles", "roles: {}\n", r"roles\.yaml:1"),
        ("identity", "tokens:\n  algorithms: [HS256]\n", r"identity\.yaml:2"),
        ("identity", "tokens:\n  algorithms: [none]\n", r"identity\.yaml:2"),
        ("identity", "tokens:\n  algorithms: []\n", r"identity\.yaml:2"),
        ("identity", "tokens:\n  jwks_url: http://example.com/k\n", r"identity\.yaml:1.*https"),
        ("identity", "tokens:\n  jwks: {}\n  jwks_file: x\n", r"identity\.yaml:1.*one of"),
        ("identity", "keys:\n  rotate: 3\n", r"identity\.yaml:2"),
    ],
)
def test_a_wrong_policy_is_refused_with_its_place(tmp_path, file, text, where):
    (tmp_path / f"{file}.yaml").write_text(text)
    model = RolesPolicy if file == "roles" else IdentityPolicy
    with pytest.raises(ConfigurationError, match=where):
        PolicySet(tmp_path).load(file, model)


def test_an_unknown_default_role_is_a_configuration_error():
    policy = IdentityPolicy.model_validate({"keys": {"default_roles": ["ghost"]}})
    with pytest.raises(ConfigurationError, match="ghost"):
        policy.check(roles())


def test_require_names_the_missing_permission():
    permissions = roles().permissions(["human_reviewer"])
    principal = Principal("t", "w", "u", "key_1", frozenset({"human_reviewer"}), permissions)
    require(principal, Permission.APPROVE_CHANGES)
    with pytest.raises(PermissionDeniedError, match="access_models"):
        require(principal, Permission.ACCESS_MODELS)
