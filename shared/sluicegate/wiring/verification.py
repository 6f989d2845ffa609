"""What there is to verify: which adapter reads a target, and which key it is held against."""

import os
from dataclasses import dataclass
from pathlib import Path

from sluicegate import settings
from sluicegate.adapters.local.export_source import FolderExport, ZipExport
from sluicegate.adapters.local.log_source import FolderLog
from sluicegate.adapters.local.signing_key import FileSigningKey
from sluicegate.adapters.web.log_source import ServedLog
from sluicegate.audit.errors import MalformedError
from sluicegate.audit.export.manifest import MANIFEST
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.publishing import LATEST
from sluicegate.audit.verify.source import ExportSource, LogSource
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.wiring.places import DEFAULT_DATA, KEYS_FOLDER_NAME, LOG_FOLDER_NAME, ORIGIN_NAME

CREDENTIAL = "SLUICEGATE_API_KEY"


@dataclass(frozen=True, slots=True)
class Target:
    """What to verify: one of a log and an export, with the key and where that came from."""

    name: str
    key: Ed25519Verifier
    key_from: str
    log: LogSource | None = None
    export: ExportSource | None = None

    def close(self) -> None:
        """Close the connection to a server."""
        if isinstance(self.log, ServedLog):
            self.log.close()


def target(text: str | None, data: Path | None, key: str | None) -> Target:
    """What `text` names: a URL, a zip archive, a folder with a log or an export; None: ours.

    Args:
        text: as typed.
        data: the data folder; the settings' one where None.
        key: the log's verifier key, or `@` and a file that has it. None: the data folder's own, or what the
            server says.

    Raises:
        InvalidRequestError: it is nothing that can be verified, or no key is known for it.
        UnreadableSourceError: a server does not answer.
    """
    folder = data or settings.load(settings.Settings).sluicegate_data_dir or DEFAULT_DATA
    if text is not None and text.startswith(("http://", "https://")):
        secret = settings.secret(CREDENTIAL)
        served = ServedLog(text, None if secret is None else secret.get_secret_value())
        return _with_key(text, key, folder, served=served)
    path = folder if text is None else Path(text)
    if path.is_file():
        return _with_key(str(path), key, folder, export=ZipExport(path))
    if (path / MANIFEST).is_file():
        return _with_key(str(path), key, folder, export=FolderExport(path))
    for place, owner in ((path, path.parent), (path / LOG_FOLDER_NAME, path)):
        if (place / LATEST).is_file():
            # A data folder's own log is held against its own key, whichever folder is the default.
            near = owner if _has_key(owner) else folder
            return _with_key(str(place), key, near, log=FolderLog(place))
    raise InvalidRequestError(
        f"{path} is neither a log nor an export: there is no {LATEST} and no {MANIFEST}"
    )


def _with_key(
    name: str,
    key: str | None,
    folder: Path,
    *,
    served: ServedLog | None = None,
    log: LogSource | None = None,
    export: ExportSource | None = None,
) -> Target:
    if key is not None:
        verifier, key_from = _given(key), "--key"
    elif served is not None:
        content = served.read("key")
        if content is None:
            raise InvalidRequestError(f"{name} does not say its key: give it with --key")
        verifier, key_from = _given(content.decode("utf-8", "replace").strip()), "the target itself"
    elif _has_key(folder):
        verifier, key_from = _own_key(folder), f"the data folder {folder}"
    else:
        raise InvalidRequestError("give the log's verifier key with --key: no data folder here has it")
    return Target(name, verifier, key_from, served or log, export)


def processes() -> int:
    """How many processes may compute at once here."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _given(text: str) -> Ed25519Verifier:
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8").strip()
        return Ed25519Verifier.from_key(text)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequestError(f"--key: {text[1:]}: {error}") from None
    except MalformedError as error:
        raise InvalidRequestError(f"--key: {error.message}") from None


def _key_file(folder: Path) -> Path:
    return folder / KEYS_FOLDER_NAME / "audit-log.key"


def _has_key(folder: Path) -> bool:
    return _key_file(folder).is_file()


def _own_key(folder: Path) -> Ed25519Verifier:
    origin = settings.load(settings.AuditSettings).audit_log_origin
    if origin is None:
        try:
            origin = (folder / ORIGIN_NAME).read_text("ascii").strip()
        except OSError as error:
            raise InvalidRequestError(f"{folder / ORIGIN_NAME}: {error.strerror}; give --key") from None
    return Ed25519Verifier(origin, FileSigningKey(_key_file(folder)).public_key)
