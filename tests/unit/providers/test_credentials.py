"""Credentials of providers: missing, malformed, and never shown."""

import pytest
from pydantic import SecretStr

from sluicegate.adapters.providers.anthropic import ANTHROPIC_URL, AnthropicProvider
from sluicegate.adapters.providers.google_tokens import GoogleTokens
from sluicegate.adapters.providers.openai import OPENAI_URL, OpenAIProvider
from sluicegate.adapters.providers.vertex import VertexProvider
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.completions.types import UpstreamCall, UpstreamFailure
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.models import Dialect

SECRET = "sk-hunter2"


def without_credentials():
    client = HttpClient()
    return [
        (OpenAIProvider("openai", OPENAI_URL, None, client), "OPENAI_API_KEY"),
        (OpenAIProvider("openai", OPENAI_URL, SecretStr(" \n"), client), "OPENAI_API_KEY"),
        (AnthropicProvider("anthropic", ANTHROPIC_URL, None, client), "ANTHROPIC_API_KEY"),
        (VertexProvider("vertex", "", "us-east5", client, GoogleTokens()), "GCP_PROJECT_ID"),
    ]


@pytest.mark.parametrize(("provider", "setting"), without_credentials())
async def test_missing_ones_name_the_setting_and_nothing_is_sent(provider, setting):
    assert setting in provider.ready()
    call = UpstreamCall("req_1", provider.dialects[0], "m", b"{}", False, 9, 9, 9)
    with pytest.raises(UpstreamFailure, match=setting) as caught:
        await provider.send(call)
    assert (caught.value.phase, caught.value.sent) == ("connect", False)


def test_with_a_key_they_are_ready_and_do_not_show_it():
    client = HttpClient()
    for provider in (
        OpenAIProvider("openai", OPENAI_URL, SecretStr(SECRET), client),
        AnthropicProvider("anthropic", ANTHROPIC_URL, SecretStr(SECRET), client),
    ):
        assert provider.ready() is None
        assert SECRET not in repr(provider) + str(provider)
        assert SECRET not in repr(client)
        for endpoint in provider._endpoints.values() if isinstance(provider._endpoints, dict) else ():
            assert SECRET not in repr(endpoint)


def test_openai_itself_speaks_responses():
    dialects = OpenAIProvider("openai", OPENAI_URL, None, HttpClient()).dialects
    assert dialects == (Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES, Dialect.OPENAI_EMBEDDINGS)


@pytest.mark.parametrize("key", [f"{SECRET}\r\nx-evil: 1", f"{SECRET}é", f"{SECRET}\0"])
def test_malformed_ones_are_refused_at_start_without_repeating_them(key):
    for kind, url in ((OpenAIProvider, OPENAI_URL), (AnthropicProvider, ANTHROPIC_URL)):
        with pytest.raises(ConfigurationError, match="API key") as caught:
            kind("p", url, SecretStr(key), HttpClient())
        assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["api.openai.com/v1", f"https://user:{SECRET}@host/v1", f"https://host/{SECRET} x"]
)
def test_malformed_addresses_are_refused_at_start_without_repeating_them(url):
    with pytest.raises(ConfigurationError, match="provider p") as caught:
        OpenAIProvider("p", url, None, HttpClient())
    assert SECRET not in str(caught.value)
