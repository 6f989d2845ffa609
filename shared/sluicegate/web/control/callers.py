"""Who calls, and whether they may; and what they did, told to the log before it is answered."""

from collections.abc import Mapping
from typing import Any, Literal

from starlette.requests import Request

from sluicegate.identity.permissions import require
from sluicegate.identity.policy import Permission
from sluicegate.identity.principal import Principal
from sluicegate.kernel.errors import NotFoundError, PermissionDeniedError
from sluicegate.kernel.governed import governed_action
from sluicegate.web.control.problems import request_id
from sluicegate.web.control.services import ControlServices
from sluicegate.web.gateway.application import client_address

SOURCE = "/functions/control"
READ = "audit.read"


class Callers:
    """Authenticates callers of the API and tells what they did."""

    def __init__(self, services: ControlServices) -> None:
        self._services = services

    async def caller(self, request: Request) -> Principal:
        """Who calls.

        Raises:
            AuthenticationError, RateLimitedError, DependencyUnavailableError: as `Authenticator`.
        """
        headers = request.headers
        authorization, x_api_key = headers.get("authorization"), headers.get("x-api-key")
        agent = headers.get("user-agent")
        return await self._services.authenticator.authenticate(
            None if authorization is None else authorization.encode("latin-1"),
            None if x_api_key is None else x_api_key.encode("latin-1"),
            self._address(request),
            None if agent is None else agent.encode("latin-1"),
        )

    async def permitted(self, request: Request, permission: Permission, action: str) -> Principal:
        """Who calls, if they hold `permission`. A refusal is an entry of the log, too.

        Raises:
            PermissionDeniedError: they do not.
            As `caller`.
        """
        principal = await self.caller(request)
        try:
            require(principal, permission)
        except PermissionDeniedError as error:
            await self.tell(
                request, principal, action, {"path": request.url.path[:200]}, "blocked", error.message
            )
            raise
        return principal

    async def operator(self, request: Request) -> Principal:
        """Who calls, if they may see what all tenants share: to others it does not exist.

        Raises:
            NotFoundError: they may not.
            As `caller`.
        """
        principal = await self.caller(request)
        ours = principal.tenant == self._services.platform_tenant
        if not ours or Permission.VIEW_ALL_LOGS not in principal.permissions:
            raise NotFoundError("there is nothing here")
        return principal

    async def tell(
        self,
        request: Request,
        principal: Principal,
        action: str,
        payload: Mapping[str, Any],
        result: Literal["success", "failure", "blocked"] = "success",
        reason: str | None = None,
    ) -> None:
        """Tell the log what the caller does; lasting when this returns.

        Raises:
            DependencyUnavailableError: it cannot be told, so it must not be done.
        """
        agent = request.headers.get("user-agent")
        event = governed_action(
            principal.tenant,
            action,
            source=SOURCE,
            at=self._services.clock.now(),
            user=principal.user,
            workspace=principal.workspace,
            result=result,
            payload={"request_id": request_id(request), "key": principal.key_id, **payload},
            reason=reason,
            ip=self._address(request) or None,
            user_agent=None if agent is None else agent[:512],
        )
        await self._services.events.publish([event])

    def _address(self, request: Request) -> str:
        peer = request.client.host if request.client is not None else ""
        headers = [(name.lower(), value) for name, value in request.headers.raw]
        return client_address(peer, headers, self._services.trusted_proxies)
