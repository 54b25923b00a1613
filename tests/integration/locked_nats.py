"""A NATS server that gives each user only what deploy/nats/permissions.conf says."""

import json
import secrets
import ssl
import sys
from pathlib import Path

import nats
import trustme
from nats.aio.client import Client

from testbed.ports import LOOPBACK, free_port
from testbed.process import Process

PERMISSIONS = Path(__file__).parents[2] / "deploy/nats/permissions.conf"
ROLES = (
    "webhooks",
    "stream-ingress",
    "ai-agent",
    "tool-runner",
    "dashboard",
    "tools",
    "subscriber",
)


class LockedNats:
    """A server with one user a role and one, ``admin``, who may do everything; it offers TLS, and
    takes clients without it too.
    """

    def __init__(self, folder: Path, *, tls: bool = True) -> None:
        self.port = free_port()
        monitor_port = free_port()
        self.monitor_url = f"http://{LOOPBACK}:{monitor_port}"
        self.authority = folder / "ca.pem"
        self._passwords = {role: secrets.token_hex(8) for role in (*ROLES, "admin")}
        users = "\n".join(
            f'{{ user: "{role}", password: "{password}"'
            + ("" if role == "admin" else f", permissions: ${role.replace('-', '_').upper()}")
            + " }"
            for role, password in self._passwords.items()
        )
        # The server includes only what lies beside its own file.
        (folder / "permissions.conf").write_text(PERMISSIONS.read_text("utf-8"), "utf-8")
        file = folder / "nats.conf"
        file.write_text(
            f"""\
listen: "{LOOPBACK}:{self.port}"
http: "{LOOPBACK}:{monitor_port}"
allow_non_tls: true
include "permissions.conf"
authorization {{ users: [
{users}
] }}
{self._certified(folder) if tls else ""}
jetstream {{ store_dir: {json.dumps(str(folder / "store"))} }}
""",
            "utf-8",
        )
        binary = Path(sys.executable).parent / "nats-server"
        self.process = Process("nats-server", [binary, "-c", file])

    def _certified(self, folder: Path) -> str:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost", LOOPBACK)
        certificate, key = folder / "cert.pem", folder / "key.pem"
        authority.cert_pem.write_to_path(self.authority)
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return (
            f"tls {{ cert_file: {json.dumps(str(certificate))}, key_file: {json.dumps(str(key))} }}"
        )

    def url(self, role: str, scheme: str = "tls") -> str:
        return f"{scheme}://{role}:{self._passwords[role]}@localhost:{self.port}"

    async def connect(self, role: str, refused: list[str] | None = None) -> Client:
        """A client of this role; permission errors of the server are put into ``refused``."""

        async def failed(error: Exception) -> None:
            if refused is not None:
                refused.append(str(error))

        tls = self.authority.exists()
        return await nats.connect(
            self.url(role, "tls" if tls else "nats"),
            tls=ssl.create_default_context(cafile=self.authority) if tls else None,
            inbox_prefix=f"_INBOX.{role}",
            error_cb=failed,
            allow_reconnect=False,
        )
