"""Questions that cannot be answered get an answer that says so."""

import json

import pytest

from services.registry.listing.store import Listings
from shared.errors import Transient
from shared.messages import ModelRegistered
from tests.integration.system import SERVICES, System

QUERIES = [
    "model.list",
    "model.get",
    "version.list",
    "version.get",
    "version.best",
    "alias.list",
    "history.get",
    "deployment.get",
    "grant.get",
    "import.get",
    "file.list",
    "lineage.get",
    "lineage.affected",
]


@pytest.fixture
async def answering(bare_system: System) -> System:
    """The services that answer run, and know one version."""
    await bare_system.start(*SERVICES)
    await bare_system.publish(bare_system.training("resnet50"))
    await bare_system.hear(ModelRegistered)
    return bare_system


async def test_what_is_not_a_json_object_is_malformed(system: System):
    for query in QUERIES:
        for body in (b"{'model'", b"", b"[]", b'"model"', b"\xff", b'{"model": NaN}'):
            answer = await system.ask(f"modelkin.qry.v1.{query}", body)
            assert answer["error"] == "malformed", (query, body)
            assert answer["message"].startswith("the body is"), (query, body)


async def test_a_wrong_field_is_malformed_and_named(system: System):
    answers = [
        await system.ask(f"modelkin.qry.v1.{query}", question)
        for query, question in [
            ("model.get", {}),
            ("model.get", {"model": 7}),
            ("model.list", {"limit": 0}),
            ("model.list", {"limit": 100_000}),
            ("version.list", {"model": "resnet50", "limit": "all"}),
            ("import.get", {"import_id": None}),
            ("lineage.get", {"model": "resnet50", "version": "0.0.1", "depth": -1}),
        ]
    ]

    assert [answer["error"] for answer in answers] == ["malformed"] * 7
    named = ["model", "model", "limit", "limit", "limit", "import_id", "depth"]
    assert all(f": {field}: " in answer["message"] for field, answer in zip(named, answers, strict=True))


async def test_a_question_that_is_too_long_or_wrong_in_many_places_is_answered_in_short(answering: System):
    long = await answering.ask("modelkin.qry.v1.model.get", {"model": "a" * 300_000})
    wrong = await answering.ask("modelkin.qry.v1.version.list", {"model": "a", "metrics": [1] * 50_000})
    echoed = await answering.ask("modelkin.qry.v1.model.get", {"model": "a" * 200_000})

    assert long["error"] == wrong["error"] == "malformed"
    assert long["message"] == "the question has 300013 bytes: expected at most 262144"
    assert len(wrong["message"]) < 3000
    assert echoed["error"] == "model-not-found"
    assert len(echoed["message"]) <= 4000


NOT_THERE = [
    ("model.get", {"model": "nobody"}, "model-not-found"),
    ("model.get", {"model": "resnet50", "workspace": "other"}, "model-not-found"),
    ("model.get", {"model": "$where.x/../*"}, "model-not-found"),
    ("version.list", {"model": "nobody"}, "model-not-found"),
    ("version.get", {"model": "nobody"}, "model-not-found"),
    ("version.get", {"model": "resnet50", "version": "9.9.9"}, "version-not-found"),
    ("version.get", {"model": "resnet50", "version": "1.0"}, "malformed"),
    ("version.list", {"model": "resnet50", "after": "01.0.0"}, "malformed"),
    ("import.get", {"import_id": "nothing"}, "import-not-found"),
    ("lineage.get", {"model": "nobody", "version": "0.0.1"}, "model-not-found"),
    ("lineage.affected", {"dataset": "nothing"}, "dataset-not-found"),
    ("lineage.affected", {"job": "nothing"}, "job-not-found"),
    ("lineage.affected", {"model": "resnet50", "version": "9.9.9"}, "version-not-found"),
    ("lineage.affected", {}, "invalid-question"),
    ("version.get", {"model": "resnet50", "version": "champion"}, "alias-not-found"),
    ("version.best", {"model": "nobody", "metric": "f1"}, "model-not-found"),
    ("version.best", {"model": "resnet50", "metric": "f1"}, "metric-not-found"),
    ("version.best", {"model": "resnet50", "metric": "f1", "where": ["lr"]}, "invalid-condition"),
    ("alias.list", {"model": "nobody"}, "model-not-found"),
    ("history.get", {"model": "nobody"}, "model-not-found"),
    ("deployment.get", {"service": "nothing"}, "service-not-found"),
    ("grant.get", {"grant": "nothing"}, "grant-not-found"),
    ("file.list", {"package_digest": f"sha256:{'0' * 64}"}, "package-not-found"),
    ("lineage.get", {"model": "resnet50", "version": "9.9.9"}, "version-not-found"),
]


async def test_what_is_not_there_is_said_with_a_code(answering: System):
    for query, question, code in NOT_THERE:
        answer = await answering.ask(f"modelkin.qry.v1.{query}", question)
        assert answer["error"] == code, (query, question)
        assert answer["message"], (query, question)


async def test_a_store_that_is_away_is_said_with_a_code(system: System, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: object) -> None:
        raise Transient("no answer from mongodb://user:secret@host")

    monkeypatch.setattr(Listings, "model", away)
    answer = await system.ask("modelkin.qry.v1.model.get", {"model": "resnet50"})

    assert answer == {"error": "unavailable", "message": "the store is away; ask again later"}


async def test_a_fault_of_ours_is_said_without_its_inside(system: System, monkeypatch: pytest.MonkeyPatch):
    async def broken(*_: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Listings, "model", broken)
    answer = await system.ask("modelkin.qry.v1.model.get", {"model": "resnet50"})

    assert answer == {"error": "internal", "message": "the service failed; its log says how"}


async def test_who_asks_without_waiting_for_an_answer_harms_nobody(answering: System):
    await answering.client.publish("modelkin.qry.v1.model.get", b"not JSON")
    await answering.client.publish("modelkin.qry.v1.model.get", b'{"model": "resnet50"}')

    assert (await answering.ask("modelkin.qry.v1.model.get", {"model": "resnet50"}))["latest"] == "0.0.1"


async def test_pages_follow_one_another_to_the_last(system: System):
    for n in range(5):
        await system.publish(system.training("resnet50", f"job-{n}"))
        await system.publish(system.training(f"model-{n}"))
    await system.hear(ModelRegistered, count=10)

    seen: list[str] = []
    page = {"models": [], "next": ""}
    while page["next"] is not None:
        page = await system.ask("modelkin.qry.v1.model.list", {"after": page["next"], "limit": 2})
        seen += [model["model"] for model in page["models"]]
    assert seen == ["model-0", "model-1", "model-2", "model-3", "model-4", "resnet50"]
    versions = await system.ask("modelkin.qry.v1.version.list", {"model": "resnet50", "limit": 3})
    rest = await system.ask(
        "modelkin.qry.v1.version.list", {"model": "resnet50", "limit": 3, "after": versions["next"]}
    )
    assert [one["version"] for one in (*versions["versions"], *rest["versions"])] == [f"0.0.{n}" for n in range(1, 6)]
    assert rest["next"] is None


async def test_each_service_answers_a_ping(system: System):
    for name in SERVICES:
        assert (await system.ask(f"modelkin.qry.v1.service.ping.{name}", {}))["service"] == name


async def test_two_instances_share_the_questions_and_each_gets_one_answer(answering: System):
    await answering.start("registry")
    inbox = answering.client.new_inbox()
    answers = await answering.client.subscribe(inbox)
    for _ in range(20):
        await answering.client.publish("modelkin.qry.v1.model.get", json.dumps({"model": "resnet50"}).encode(), inbox)

    for _ in range(20):
        await answers.next_msg(timeout=60)
    await answering.ask("modelkin.qry.v1.model.get", {"model": "resnet50"})
    assert answers.pending_msgs == 0
