"""Which adapter runs which provider of the catalogue."""

from collections.abc import Mapping

from sluicegate import settings
from sluicegate.adapters.providers.anthropic import AnthropicProvider
from sluicegate.adapters.providers.google_tokens import GoogleTokens
from sluicegate.adapters.providers.openai import OpenAIProvider
from sluicegate.adapters.providers.scripted.provider import ScriptedProvider
from sluicegate.adapters.providers.vertex import VertexProvider
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.completions.types import Provider
from sluicegate.kernel.models import Dialect
from sluicegate.routing.catalogue_policy import ProviderPolicy
from sluicegate.settings import GatewaySettings


def provider(entry: ProviderPolicy, config: GatewaySettings, http: HttpClient) -> Provider:
    """The provider that catalogue entry `entry` describes, with its credential from the settings."""
    credential = settings.secret(entry.credential) if entry.credential is not None else None
    base_url = entry.base_url or ""
    if entry.base_url_setting is not None:
        override = settings.secret(entry.base_url_setting)
        base_url = override.get_secret_value() if override is not None else base_url
    if entry.kind == "openai":
        # Another address by setting need not speak all that the catalogue says of the usual one.
        own = base_url == entry.base_url
        return OpenAIProvider(
            entry.name,
            base_url,
            credential,
            http,
            responses=Dialect.OPENAI_RESPONSES in entry.dialects if own else None,
            credential_name=entry.credential or "its credential",
        )
    if entry.kind == "anthropic":
        return AnthropicProvider(
            entry.name, base_url, credential, http, credential_name=entry.credential or "its credential"
        )
    if entry.kind == "vertex":
        return VertexProvider(
            entry.name,
            config.gcp_project_id or "",
            config.vertex_location,
            http,
            GoogleTokens(),
            base_url=base_url or None,
        )
    why_not = None if config.embedded else "the scripted model answers only where ENVIRONMENT is development"
    return ScriptedProvider(entry.name, unready=why_not)


def stand_ins(config: GatewaySettings, providers: Mapping[str, Provider]) -> dict[str, Provider]:
    """In development, the scripted model answers for providers without a credential."""
    if not config.embedded:
        return {}
    return {name: ScriptedProvider() for name, provider in providers.items() if provider.ready() is not None}
