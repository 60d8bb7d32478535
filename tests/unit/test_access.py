"""Users and permissions as they are made from the messages."""

import json

import pytest

from deploy.access import ANSWERED, system_users, workspace_users
from deploy.nats_accounts import accounts_conf
from services.importer import app as importer
from services.registry import app as registry
from shared.messages import COMMANDS, EVENTS, LIVE
from shared.queries import QUERIES, Examine, GetAffected, GetLineage, Ping, ReadBytes


def conf_of(*workspaces: str) -> dict:
    text = accounts_conf(workspaces, lambda user: f"hash of {user}")
    return json.loads(text[text.index("{") :])


def test_every_question_is_answered_by_the_service_that_may_hear_it():
    assert set(ANSWERED["importer"]) == {*importer.ANSWERED, ReadBytes}
    assert set(ANSWERED["registry"]) == {*registry.ANSWERED}
    assert set(ANSWERED["versioning"]) == {GetLineage, GetAffected}
    assert {*ANSWERED["importer"], *ANSWERED["registry"], *ANSWERED["versioning"], Ping, Examine} == {*QUERIES}


def test_every_event_and_every_command_has_somebody_who_may_say_it():
    users = [*system_users(), *workspace_users("0")]
    said = {subject for user in users if user.name != "admin" for subject in user.publish}

    unsaid = {
        kind.__name__
        for kind in (*EVENTS, *LIVE, *COMMANDS)
        if not any(subject.startswith(f"{kind.address}.") for subject in said)
    }

    # About the whole system: for administrators.
    assert unsaid == {
        "DeadLetterRedriven",
        "DeadLetterDropped",
        "CollectGarbage",
        "RebuildRegistry",
        "RebuildVersioning",
    }


@pytest.mark.parametrize("user", workspace_users("lab"), ids=lambda user: user.name)
def test_no_user_of_a_workspace_reaches_the_api_of_the_streams_but_for_a_consumer_in_its_name(user):
    streams = {subject for subject in user.publish if subject.startswith("$")}

    assert all(user.name in subject for subject in streams)
    assert not {subject for subject in user.subscribe if subject.startswith("$")}


def test_a_workspace_has_an_account_that_imports_its_own_subjects_alone():
    accounts = conf_of("0", "lab")

    assert list(accounts) == ["MODELKIN", "workspace-0", "workspace-lab"]
    imports = accounts["workspace-lab"]["imports"]
    heard = [one["stream"]["subject"] for one in imports if "stream" in one]
    assert heard == ["modelkin.evt.v1.*.*.lab.*", "modelkin.live.v1.*.*.lab.*"]
    said = {one["service"]["subject"] for one in imports if "service" in one}
    assert "modelkin.evt.v1.training.succeeded.lab.*" in said
    assert "modelkin.cmd.v1.version.delete.lab.*.operator-lab" in said
    assert not {subject for subject in said if ".0." in subject or subject.endswith(".0")}
    assert not {subject for subject in said if subject.startswith("$JS.API.CONSUMER.CREATE")}


def test_a_user_has_the_hash_of_its_own_password():
    users = conf_of("0")["MODELKIN"]["users"]

    assert {one["user"]: one["password"] for one in users} == {
        "importer": "hash of importer",
        "registry": "hash of registry",
        "versioning": "hash of versioning",
        "topology": "hash of topology",
        "admin": "hash of admin",
    }
