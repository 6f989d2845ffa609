"""What a gateway finds on disk: policies, credentials; and what it writes there."""

import contextlib
import json
from pathlib import Path

import yaml
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from e2e_rig.processes import SHARED

POLICIES = SHARED / "policies"


def overlay(folder: Path, changes: dict[str, dict], models: str | None = None) -> Path:
    """A policy folder whose files are the shipped ones with some fields changed, one level deep."""
    folder.mkdir(parents=True)
    for name, fields in changes.items():
        policy = yaml.safe_load((POLICIES / f"{name}.yaml").read_text("utf-8"))
        for key, value in fields.items():
            old = policy.get(key)
            policy[key] = {**old, **value} if isinstance(old, dict) and isinstance(value, dict) else value
            if key == "health" and name == "routing":
                policy[key]["breaker"] = {**old["breaker"], **value.get("breaker", {})}
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(policy), "utf-8")
    if models is not None:
        (folder / "models.yaml").write_text(models, "utf-8")
    return folder


def written(data: Path) -> dict[str, str]:
    """What a gateway wrote into `dev.env`; empty before it is ready."""
    with contextlib.suppress(FileNotFoundError):
        lines = (data / "dev.env").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)
    return {}


def service_account(path: Path, token_url: str) -> Path:
    """A Google service account's key file whose tokens come from `token_url`."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2_048).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    account = {
        "type": "service_account",
        "project_id": "e2e-project",
        "private_key_id": "e2e",
        "private_key": key.decode(),
        "client_email": "gateway@e2e-project.iam.gserviceaccount.com",
        "token_uri": f"{token_url}/token",
    }
    path.write_text(json.dumps(account), "utf-8")
    path.chmod(0o600)
    return path
