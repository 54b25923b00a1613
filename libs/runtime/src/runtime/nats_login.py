"""How a process proves to NATS who it is, and knows the server: credentials, nkey, TLS; and the
inbox that is its own.

A part of bus. User and password may stand in NATS_URL instead.
"""

import ssl
from pathlib import Path
from typing import Any

from protocol.permissions import inbox_prefix
from runtime.errors import ServiceError
from runtime.settings import CommonSettings


def login(settings: CommonSettings, role: str) -> dict[str, Any]:
    """Arguments of ``nats.connect``. Replies come to ``_INBOX.<role>.``, which no other user may
    hear.

    Raises ServiceError that names the setting whose file cannot be used.
    """
    found: dict[str, Any] = {"inbox_prefix": inbox_prefix(role)}
    if settings.nats_creds and settings.nats_nkey:
        raise ServiceError("NATS_CREDS and NATS_NKEY are both set: set one of them")
    if settings.nats_creds:
        found["user_credentials"] = _file("NATS_CREDS", settings.nats_creds)
    if settings.nats_nkey:
        found["nkeys_seed"] = _file("NATS_NKEY", settings.nats_nkey)
    if settings.nats_ca or settings.nats_cert:
        found["tls"] = _tls(settings)
    return found


def _tls(settings: CommonSettings) -> ssl.SSLContext:
    authority = _file("NATS_CA", settings.nats_ca) if settings.nats_ca else None
    try:
        context = ssl.create_default_context(cafile=authority)
    except (ssl.SSLError, OSError) as error:
        raise ServiceError(f"NATS_CA cannot be used: {error}") from error
    if settings.nats_cert:
        certificate = _file("NATS_CERT", settings.nats_cert)
        key = _file("NATS_KEY", settings.nats_key) if settings.nats_key else None
        try:
            context.load_cert_chain(certificate, key)
        except (ssl.SSLError, OSError) as error:
            raise ServiceError(f"NATS_CERT cannot be used: {error}") from error
    return context


def _file(variable: str, path: str) -> str:
    if not Path(path).is_file():
        raise ServiceError(f"{variable} names {path}, and there is no such file")
    return path
