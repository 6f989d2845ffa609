"""Settings: checked at start, and no value ever repeated in an error."""

import pytest

from sluicegate import settings
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.settings import GatewaySettings, Settings

SECRET = "redis://:hunter2@127.0.0.1:6379"


@pytest.fixture(autouse=True)
def clean(monkeypatch, tmp_path):
    for name in ("ENVIRONMENT", "REDIS_URL", "SLUICEGATE_DATA_DIR", "OPENAI_API_KEY", "CORS_ORIGINS", "PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(settings, "SECRETS_FOLDER", tmp_path / "secrets")
    settings._dotenv.cache_clear()
    yield
    settings._dotenv.cache_clear()


def test_production_is_the_default_and_refuses_the_embedded_parts():
    with pytest.raises(ConfigurationError, match="REDIS_URL and SLUICEGATE_DATA_DIR must be set"):
        settings.load(GatewaySettings)


def test_development_needs_nothing(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert settings.load(GatewaySettings).embedded


def test_an_error_names_the_variable_and_never_its_value(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("PORT", SECRET)
    with pytest.raises(ConfigurationError) as error:
        settings.load(GatewaySettings)
    assert "PORT" in error.value.message
    assert "hunter2" not in error.value.message


def test_secrets_do_not_show(monkeypatch):
    monkeypatch.setenv("REDIS_URL", SECRET)
    config = settings.load(Settings)
    assert "hunter2" not in repr(config) + str(config.model_dump())
    assert config.redis_url.get_secret_value() == SECRET


def test_origins_are_split_and_checked(monkeypatch):
    monkeypatch.setenv("ENVIRONMENT", "development")
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, http://localhost:3000")
    assert settings.load(GatewaySettings).cors_origins == ("https://a.example", "http://localhost:3000")
    monkeypatch.setenv("CORS_ORIGINS", "a.example")
    with pytest.raises(ConfigurationError, match="CORS_ORIGINS"):
        settings.load(GatewaySettings)


def test_a_secret_comes_from_the_environment_then_its_file_then_dotenv(monkeypatch, tmp_path):
    assert settings.secret("OPENAI_API_KEY") is None
    (tmp_path / "secrets").mkdir()
    (tmp_path / "secrets" / "OPENAI_API_KEY").write_text("from-file\n")
    assert settings.secret("OPENAI_API_KEY").get_secret_value() == "from-file"
    monkeypatch.setenv("OPENAI_API_KEY", "from-environment")
    assert settings.secret("OPENAI_API_KEY").get_secret_value() == "from-environment"
    monkeypatch.delenv("OPENAI_API_KEY")
    (tmp_path / "secrets" / "OPENAI_API_KEY").unlink()
    (tmp_path / ".env").write_text("OPENAI_API_KEY=from-dotenv\n")
    assert settings.secret("OPENAI_API_KEY") is None  # production heeds no .env
    settings._dotenv.cache_clear()
    monkeypatch.setenv("ENVIRONMENT", "development")
    assert settings.secret("OPENAI_API_KEY").get_secret_value() == "from-dotenv"


@pytest.mark.parametrize("name", ["", "../etc/passwd", "lower", "A" * 101, "A B"])
def test_a_secrets_name_cannot_be_a_path(name):
    with pytest.raises(ConfigurationError, match="name of a secret"):
        settings.secret(name)
