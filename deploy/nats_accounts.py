"""The users of deploy/access.py as a part of nats-server's configuration: accounts, and what each has of the other."""

import json
from collections.abc import Callable, Iterable
from typing import Any

from deploy.access import ACCOUNT, User, system_users, workspace_users
from shared.subjects import EVENTS_STREAM

Json = dict[str, Any]
PULL = f"$JS.API.CONSUMER.MSG.NEXT.{EVENTS_STREAM}.*"
SERVICES_EXPORTED = (
    *(f"modelkin.{what}.v1.>" for what in ("evt", "cmd", "qry")),
    f"$JS.API.CONSUMER.INFO.{EVENTS_STREAM}.*",
    f"$JS.ACK.{EVENTS_STREAM}.*.>",
)
HEAD = """# Users and permissions of NATS. Made by 'make secrets' from the passwords beside it, and made anew each time.
# Another one takes effect when nats-server reads it: nats-server --signal reload, or docker compose restart nats.
"""


def accounts_conf(workspaces: Iterable[str], hash_of: Callable[[str], str]) -> str:
    """The text of nats-users.conf.

    Args:
        workspaces: which there are.
        hash_of: gives the bcrypt hash of a user's password.
    """
    accounts = {ACCOUNT: _system(hash_of), **{f"workspace-{one}": _workspace(one, hash_of) for one in workspaces}}
    return f"{HEAD}accounts: {json.dumps(accounts, indent=2, ensure_ascii=False)}\n"


def _system(hash_of: Callable[[str], str]) -> Json:
    return {
        "jetstream": "enabled",
        "users": [_user(user, hash_of) for user in system_users()],
        "exports": [
            *({"stream": f"modelkin.{what}.v1.>"} for what in ("evt", "live")),
            *({"service": subject} for subject in SERVICES_EXPORTED),
            # What is pulled comes as any number of messages.
            {"service": PULL, "response_type": "stream"},
        ],
    }


def _workspace(workspace: str, hash_of: Callable[[str], str]) -> Json:
    users = workspace_users(workspace)
    heard = (f"modelkin.{what}.v1.*.*.{workspace}.*" for what in ("evt", "live"))
    said = dict.fromkeys(subject for user in users for subject in user.publish)
    return {
        "users": [_user(user, hash_of) for user in users],
        "imports": [
            *({"stream": {"account": ACCOUNT, "subject": subject}} for subject in heard),
            *({"service": {"account": ACCOUNT, "subject": subject}} for subject in said),
        ],
    }


def _user(user: User, hash_of: Callable[[str], str]) -> Json:
    publish: Json = {"allow": list(user.publish)}
    if user.not_publish:
        publish["deny"] = list(user.not_publish)
    permissions = {"publish": publish, "subscribe": {"allow": list(user.subscribe)}}
    return {"user": user.name, "password": hash_of(user.name), "permissions": permissions}
