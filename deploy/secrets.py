"""Passwords for everything that connects, and the users of NATS made of them: `make secrets`.

<folder>
├── nats-users.conf            users and permissions, with hashes; made anew each time from the passwords
├── nats/<user>.password
├── mongo/<user>.password, mongo/keyfile
├── tls/                       by deploy/certs.py
├── workspaces/<W>.json        credentials of object stores and image registries, written by operators
└── made-by-make-secrets.env   empty: docker-compose.yml asks for it, to say first what is missing

The folder itself can be entered by its owner alone. What lies in it can be read by all: a container that is given one of
these files has another user id than the owner, and does not see the folder above.
"""

import argparse
import base64
import secrets
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from deploy.access import system_users, workspace_users
from deploy.nats_accounts import accounts_conf
from shared.naming import DEFAULT_WORKSPACE, NAME_RULE, is_name
from shared.queries import SERVICES

FOLDER = Path("deploy/secrets")
MONGO_USERS = ("root", *SERVICES)
PASSWORD_BYTES = 32
# mongod takes at most 1024 characters of base64.
KEYFILE_BYTES = 567
# A random password needs no slow hash, and NATS computes one at every connection.
BCRYPT_ROUNDS = 4
FOLDER_MODE, INNER_MODE, FILE_MODE = 0o700, 0o755, 0o644
INNER = ("nats", "mongo", "tls", "workspaces")
_OPERATOR = "operator-"
_SUFFIX = ".password"

Hash = Callable[[bytes], bytes]


def make_secrets(folder: Path, workspaces: Iterable[str], hashed: Hash) -> list[Path]:
    """Write what is not there; returns that, and never overwrites a password.

    Args:
        folder: where to; made where it is missing.
        workspaces: beside those that have users there.
        hashed: bcrypt.
    """
    make_folder(folder)
    known = sorted({*workspaces, *_workspaces_in(folder)})
    users = [user.name for user in (*system_users(), *(one for each in known for one in workspace_users(each)))]
    made = [
        *(_new(folder / "nats" / f"{user}{_SUFFIX}", _password()) for user in users),
        *(_new(folder / "mongo" / f"{user}{_SUFFIX}", _password()) for user in MONGO_USERS),
        _new(folder / "mongo" / "keyfile", base64.b64encode(secrets.token_bytes(KEYFILE_BYTES)).decode()),
        _new(folder / "made-by-make-secrets.env", "# Empty.\n"),
    ]
    conf = accounts_conf(known, lambda user: hashed(_read(folder / "nats" / f"{user}{_SUFFIX}")).decode())
    _write(folder / "nats-users.conf", conf)
    return [path for path in made if path is not None]


def make_folder(folder: Path) -> None:
    """The folder, closed to others, and those in it."""
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(FOLDER_MODE)
    for name in INNER:
        inner = folder / name
        inner.mkdir(exist_ok=True)
        inner.chmod(INNER_MODE)


def _workspaces_in(folder: Path) -> list[str]:
    found = (folder / "nats").glob(f"{_OPERATOR}*{_SUFFIX}")
    return [path.name.removeprefix(_OPERATOR).removesuffix(_SUFFIX) for path in found]


def _password() -> str:
    return secrets.token_urlsafe(PASSWORD_BYTES)


def _new(path: Path, content: str) -> Path | None:
    if path.exists():
        return None
    _write(path, content)
    return path


def _write(path: Path, content: str) -> None:
    """Whole or not at all: a process may be reading."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(content, encoding="utf-8")
    part.chmod(FILE_MODE)
    part.replace(path)


def _read(path: Path) -> bytes:
    """Raises ValueError where somebody put in an empty one."""
    password = path.read_bytes().strip()
    if not password:
        raise ValueError(f"{path} is empty: remove it for a new password, or write one into it")
    return password


def _bcrypt() -> Hash:
    try:
        import bcrypt  # noqa: PLC0415 - services do without it, and so does their image
    except ImportError:
        sys.exit("secrets: the package bcrypt is missing: 'make secrets' installs it, or pip install 'modelkin[dev]'")
    return lambda password: bcrypt.hashpw(password, bcrypt.gensalt(BCRYPT_ROUNDS))


def main() -> None:
    """Say what was made."""
    parser = argparse.ArgumentParser(prog="python -m deploy.secrets", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--workspace", action="append", metavar="W", help=f"one more that has users; default: {DEFAULT_WORKSPACE}"
    )
    parser.add_argument("--folder", type=Path, default=FOLDER, help=f"default: {FOLDER}")
    given = parser.parse_args()
    workspaces: list[str] = given.workspace or [DEFAULT_WORKSPACE]
    for workspace in workspaces:
        if not is_name(workspace):
            parser.error(f"--workspace {workspace!r}: expected {NAME_RULE}")
    try:
        made = make_secrets(given.folder, workspaces, _bcrypt())
    except (OSError, ValueError) as error:
        sys.exit(f"secrets: {error}")
    for path in made:
        sys.stdout.write(f"made  {path}\n")
    sys.stdout.write(f"{'made' if made else 'kept'}  {given.folder}: {len(made)} new, the users of NATS made anew\n")


if __name__ == "__main__":
    main()
