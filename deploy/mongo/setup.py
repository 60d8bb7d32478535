"""The replica set and the users of MongoDB: made where they are not there, brought up to date where they are.

    root          everything, for operators
    importer, registry, versioning
                  read and write in the database modelkin_<name>, and nothing else

Run beside mongod, on its loopback: until there is a user, mongod lets the first one be made from there alone. Needs
nothing of Modelkin, so that the image of the stand-in can run this file too.

    MODELKIN_MONGO_MEMBERS   host:port of each member of the replica set, `,` between them; none: no replica set is made
    MODELKIN_MONGO_SECRETS   the folder with a file mongo-<user> for each password (default: /run/secrets)
    MODELKIN_TLS_CA          the certificates that MongoDB's is checked against; none: no TLS
"""

import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

Client = MongoClient[dict[str, Any]]

REPLICA_SET = "modelkin"
SERVICES = ("importer", "registry", "versioning")
PATIENCE_S = 60.0
UNAUTHORIZED = 13
AUTHENTICATION_FAILED = 18
ALREADY_INITIALIZED = 23
NODE_NOT_FOUND = 74
USER_EXISTS = 51003


def set_up(members: tuple[str, ...], passwords: Mapping[str, str], tls_ca: str | None = None) -> None:
    """Make or mend what is there; run again, it changes nothing but passwords that were made anew.

    Raises:
        ConnectionFailure: MongoDB is away, or has no primary yet. Try again.
        OperationFailure: it knows another root.
    """
    tls = {"tls": True, "tlsCAFile": tls_ca} if tls_ca else {}
    with _client("127.0.0.1", **tls, directConnection=True) as beside:
        if members:
            _initiate(beside, members)
        _first_user(beside, passwords["root"])
    everywhere: dict[str, Any] = {"replicaSet": REPLICA_SET} if members else {"directConnection": True}
    with _client(members or "127.0.0.1", **tls, **everywhere, username="root", password=passwords["root"]) as root:
        _users(root, passwords)


def _client(where: str | tuple[str, ...], **options: Any) -> Client:
    hosts = [where] if isinstance(where, str) else list(where)
    return MongoClient(hosts, serverSelectionTimeoutMS=5000, **options)


def _initiate(beside: Client, members: tuple[str, ...]) -> None:
    if "setName" in beside.admin.command("hello"):
        return
    # The first is where this runs; it has to be the primary, for only here may the first user be made.
    wanted = [{"_id": at, "host": host, "priority": 1 if at else 2} for at, host in enumerate(members)]
    try:
        beside.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": wanted})
    except OperationFailure as error:
        if error.code == NODE_NOT_FOUND:  # all members have to be there; some may still be starting
            raise ConnectionFailure(str(error)) from error
        if error.code != ALREADY_INITIALIZED:
            raise
    _say(f"made the replica set {REPLICA_SET} of {', '.join(members)}")


def _first_user(beside: Client, password: str) -> None:
    try:
        beside.admin.command("createUser", "root", pwd=password, roles=["root"])
    except OperationFailure as error:
        # Once there are users, nobody may make one without a password.
        if error.code not in {UNAUTHORIZED, USER_EXISTS}:
            raise
    else:
        _say("made the user root")


def _users(root: Client, passwords: Mapping[str, str]) -> None:
    for name in SERVICES:
        rights = {"pwd": passwords[name], "roles": [{"role": "readWrite", "db": f"modelkin_{name}"}]}
        try:
            root.admin.command({"createUser": name, **rights})
        except OperationFailure as error:
            if error.code != USER_EXISTS:
                raise
            root.admin.command({"updateUser": name, **rights})
        else:
            _say(f"made the user {name}")


def _say(line: str) -> None:
    sys.stdout.write(f"mongo: {line}\n")
    sys.stdout.flush()


def _passwords(folder: Path) -> dict[str, str]:
    return {name: (folder / f"mongo-{name}").read_text().strip() for name in ("root", *SERVICES)}


def _told(error: PyMongoError) -> str:
    if getattr(error, "code", None) == AUTHENTICATION_FAILED:
        return (
            "MongoDB has users, and its root has another password than deploy/secrets/mongo/root.password:"
            " put the file back that was there when the volume was made"
        )
    # The driver adds all that it knows of every server.
    in_short = str(error).partition(", Timeout: ")[0].partition(", full error: ")[0]
    return f"MongoDB cannot be set up: {in_short}"


def main() -> None:
    """Set up the MongoDB beside this process."""
    members = tuple(host for host in os.environ.get("MODELKIN_MONGO_MEMBERS", "").split(",") if host)
    folder = Path(os.environ.get("MODELKIN_MONGO_SECRETS", "/run/secrets"))
    deadline = time.monotonic() + PATIENCE_S
    try:
        passwords = _passwords(folder)
        while True:
            try:
                return set_up(members, passwords, os.environ.get("MODELKIN_TLS_CA") or None)
            except ConnectionFailure:
                if time.monotonic() > deadline:
                    raise
                time.sleep(1)
    except OSError as error:
        sys.exit(f"mongo: {error}")
    except PyMongoError as error:
        sys.exit(f"mongo: {_told(error)}")


if __name__ == "__main__":
    main()
