"""May this caller do that?"""

from sluicegate.identity.policy import Permission
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import PermissionDeniedError


def require(principal: Principal, permission: Permission) -> None:
    """Pass if `principal` holds `permission`.

    Raises:
        PermissionDeniedError: it does not. Details: permission.
    """
    if permission not in principal.permissions:
        raise PermissionDeniedError(
            f"{principal.key_id} may not do this: it lacks the permission {permission.value}",
            details={"permission": permission.value},
        )
