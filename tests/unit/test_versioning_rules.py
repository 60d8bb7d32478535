"""The number and the lineage of an import: every rule of versioning."""

from typing import Any

import pytest

from services.versioning.domain import Head, Kin, Known, advanced, decide, kin_of
from services.versioning.edges import digests_asked_for, digests_held, nodes_asked_for, parents_of, version_node
from shared.messages import ModelImported, VersionAssigned, VersionRefused
from shared.naming import VersionNumber
from shared.values import (
    Base,
    Code,
    Dataset,
    Edge,
    FromAutoLearning,
    FromImage,
    FromJob,
    FromStorage,
    FromTemplate,
    Image,
    Job,
    Reason,
    Source,
    TemplateInput,
)
from tests.samples import NOON, a_file, a_package, an_import, at, digest

AN_IMAGE = Image(
    reference="registry.example/serve:1",
    digest=digest("1"),
    index_digest=digest("2"),
    media_type="application/vnd.oci.image.manifest.v1+json",
    platform="linux/amd64",
    size_bytes=0,
    layers=(),
)
TRAINED_BY = Edge(source="version:0/resnet@0.0.1", kind="trained-by", target="job:0/job-7@V001")


def number(text: str) -> VersionNumber:
    return VersionNumber.parse(text)


def knowing(*nodes: str) -> Known:
    """These versions exist."""
    return Known(kin={node: a_kin(node) for node in nodes})


def a_kin(node: str, **changes: Any) -> Kin:
    return Kin(**{"node": node, "import_id": "import-9", "at": "2026-01-05T12:00:00.000000+00:00", **changes})


def assigned(imported: ModelImported, head: Head | None = None, known: Known | None = None) -> VersionAssigned:
    decision = decide(imported, head or Head(), known or Known(), at(1))
    assert isinstance(decision, VersionAssigned)
    return decision


def refused(imported: ModelImported, head: Head | None = None, known: Known | None = None) -> VersionRefused:
    decision = decide(imported, head or Head(), known or Known(), at(1))
    assert isinstance(decision, VersionRefused)
    return decision


def edges(decision: VersionAssigned, kind: str) -> list[tuple[str, str | None]]:
    """Where the edges of a kind lead, and how they are known."""
    assert {edge.source for edge in decision.edges} == {f"version:0/resnet@{decision.version}"}
    return [(edge.target, edge.how) for edge in decision.edges if edge.kind == kind]


def test_the_first_version_is_0_0_1_and_came_from_its_job():
    imported = an_import(parameters={"lr": 0.1}, metrics={"f1": 0.75})

    assert assigned(imported) == VersionAssigned(
        envelope=imported.envelope.of_answer("modelkin.evt.v1.version.assigned", "modelkin/versioning", at(1)),
        workspace="0",
        model="resnet",
        import_id="of-import-1",
        version="0.0.1",
        ordinal=1,
        package_digest=digest("a"),
        parameters={"lr": 0.1},
        metrics={"f1": 0.75},
        edges=(TRAINED_BY,),
    )


@pytest.mark.parametrize(
    ("highest", "following"), [("0.0.1", "0.0.2"), ("0.0.99", "0.1.0"), ("3.99.99", "4.0.0"), ("99.99.98", "99.99.99")]
)
def test_without_a_wish_the_number_is_the_next_after_the_highest(highest: str, following: str):
    decision = assigned(an_import(), Head(12, number(highest)))

    assert (decision.version, decision.ordinal) == (following, 13)


def test_a_number_that_was_asked_for_is_taken_as_it_is():
    decision = assigned(an_import(requested_version="7.0.0"), Head(1, number("0.0.1")))

    assert (decision.version, decision.ordinal) == ("7.0.0", 2)


def test_the_very_first_version_may_have_any_number():
    assert assigned(an_import(requested_version="0.0.0")).version == "0.0.0"


def test_a_number_that_is_taken_is_refused():
    known = knowing("version:0/resnet@0.0.1")

    decision = refused(an_import(requested_version="0.0.1"), Head(1, number("0.0.1")), known)

    assert decision.reason is Reason.VERSION_EXISTS
    assert decision.message == "resnet has a version 0.0.1 already, of import import-9: expected a number that is free"
    assert decision.import_id == "of-import-1"
    assert decision.envelope.cause_id == "import-1"


def test_a_number_that_another_model_or_workspace_has_is_free():
    known = knowing("version:0/bert@0.0.1", "version:vision/resnet@0.0.1")

    assert assigned(an_import(requested_version="0.0.1"), known=known).version == "0.0.1"


def test_after_99_99_99_no_number_is_left():
    decision = refused(an_import(), Head(5, number("99.99.99")))

    assert decision.reason is Reason.VERSIONS_EXHAUSTED
    assert decision.message == ("resnet has reached 99.99.99: no number is left, expected a request for a free one")


def test_after_99_99_99_a_free_number_may_still_be_asked_for():
    assert assigned(an_import(requested_version="5.0.0"), Head(5, number("99.99.99"))).version == "5.0.0"


def test_a_version_succeeds_the_highest():
    decision = assigned(an_import(), Head(2, number("0.0.9")))

    assert edges(decision, "succeeds") == [("version:0/resnet@0.0.9", None)]


def test_the_first_version_succeeds_none():
    assert edges(assigned(an_import()), "succeeds") == []


def test_a_number_above_the_highest_succeeds_the_highest():
    decision = assigned(an_import(requested_version="7.0.0"), Head(2, number("0.0.9")))

    assert edges(decision, "succeeds") == [("version:0/resnet@0.0.9", None)]


def test_a_number_below_the_highest_succeeds_the_one_right_below_it():
    known = Known(numbers={("0", "resnet"): {number("0.0.1"), number("0.0.9"), number("2.0.0")}})

    decision = assigned(an_import(requested_version="1.0.0"), Head(3, number("2.0.0")), known)

    assert edges(decision, "succeeds") == [("version:0/resnet@0.0.9", None)]


def test_a_number_below_all_others_succeeds_none():
    decision = assigned(an_import(requested_version="0.0.1"), Head(3, number("2.0.0")))

    assert edges(decision, "succeeds") == []


def test_a_version_was_trained_on_each_of_its_data_sets():
    imported = an_import(
        datasets=(
            Dataset(name="coco", version="2017", digest=digest("c")),
            Dataset(name="voc", digest=digest("d")),
            Dataset(name="mine"),
        )
    )

    assert edges(assigned(imported), "trained-on") == [
        ("dataset:0/coco@2017", None),
        (f"dataset:0/voc@{digest('d')}", None),
        ("dataset:0/mine", None),
    ]


def test_a_version_was_built_from_its_code():
    imported = an_import(code=Code(repository="https://git.example/resnet", commit="abc123", entry_point="train.py"))

    assert edges(assigned(imported), "built-from") == [("code:https://git.example/resnet@abc123", None)]


@pytest.mark.parametrize(
    ("source", "kind", "target"),
    [
        (FromJob(location="l", job=Job(id="job 8", version="V002")), "trained-by", "job:0/job 8@V002"),
        (FromAutoLearning(location="l", project="flowers", run="V001"), "trained-by", "job:0/flowers@V001"),
        (
            FromTemplate(template="pytorch-general", inputs=(TemplateInput(input_id="i", location="l"),)),
            "made-from",
            "template:pytorch-general",
        ),
    ],
    ids=lambda value: getattr(value, "method", None),
)
def test_a_version_came_from_its_job_or_its_template(source: Source, kind: str, target: str):
    decision = assigned(an_import(source=source))

    assert [(edge.kind, edge.target) for edge in decision.edges] == [(kind, target)]


def test_a_version_from_an_object_store_came_from_nothing_that_is_known():
    assert assigned(an_import(source=FromStorage(location="s3://models/resnet"))).edges == ()


def test_a_version_from_an_image_is_packaged_as_the_image_that_was_pinned():
    imported = an_import(source=FromImage(image="registry.example/serve:1", config_location="l"), image=AN_IMAGE)

    decision = assigned(imported)

    assert [(edge.kind, edge.target) for edge in decision.edges] == [("packaged-as", f"image:{digest('1')}")]


def test_jobs_are_of_their_workspace_while_templates_and_images_are_everybodys():
    deployed = FromAutoLearning(location="l", project="flowers", run="V001")
    templated = FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),))

    def targets(**changes: Any) -> list[str]:
        return [edge.target for edge in assigned(an_import(workspace="vision", **changes)).edges]

    assert targets(source=deployed) == ["job:vision/flowers@V001"]
    assert targets(source=templated) == ["template:t"]
    assert targets(source=FromImage(image="i"), image=AN_IMAGE) == [f"image:{digest('1')}"]


def test_where_a_version_came_from_stands_between_the_version_before_it_and_what_it_was_trained_on():
    imported = an_import(datasets=(Dataset(name="coco"),), code=Code(repository="r", commit="c"), image=AN_IMAGE)

    decision = assigned(imported, Head(1, number("0.0.1")))

    assert [edge.kind for edge in decision.edges] == [
        "succeeds",
        "trained-by",
        "packaged-as",
        "trained-on",
        "built-from",
    ]


def test_a_template_and_an_image_are_no_parents():
    templated = FromTemplate(template="t", inputs=(TemplateInput(input_id="i", location="l"),))

    assert parents_of(assigned(an_import(source=templated, image=AN_IMAGE))) == set()


def test_a_version_derives_from_the_base_it_names():
    imported = an_import(bases=(Base(model="bert", version="1.0.0", relation="fine-tuned"),))
    known = knowing("version:0/bert@1.0.0")

    assert edges(assigned(imported, known=known), "derived-from") == [("version:0/bert@1.0.0", "fine-tuned")]


def test_a_base_that_is_not_registered_is_refused():
    imported = an_import(bases=(Base(model="bert", version="1.0.0"),))

    decision = refused(imported)

    assert decision.reason is Reason.BASE_NOT_FOUND
    assert decision.message == "base 0/bert@1.0.0 is not registered: expected a version that is"


def test_a_base_of_another_workspace_is_not_found():
    imported = an_import(workspace="vision", bases=(Base(model="bert", version="1.0.0"),))

    assert refused(imported, known=knowing("version:0/bert@1.0.0")).reason is Reason.BASE_NOT_FOUND


def test_a_version_cannot_be_its_own_base():
    imported = an_import(requested_version="1.0.0", bases=(Base(model="resnet", version="1.0.0"),))

    decision = refused(imported)

    assert decision.reason is Reason.LINEAGE_CYCLE
    assert decision.message == "base 0/resnet@1.0.0 is the version itself: expected one that it can descend from"


def test_a_base_named_by_its_digest_is_the_version_that_held_these_bytes_first():
    imported = an_import(bases=(Base(digest=digest("b"), relation="quantized"),))
    known = Known(holders={("0", digest("b")): "version:0/bert@1.0.0"})

    assert edges(assigned(imported, known=known), "derived-from") == [("version:0/bert@1.0.0", "quantized")]


def test_a_base_named_by_a_digest_that_nobody_holds_is_not_refused_for_it_may_come_from_elsewhere():
    imported = an_import(bases=(Base(digest=digest("b")),))

    assert edges(assigned(imported), "derived-from") == []


def test_a_base_is_found_by_the_bytes_of_a_file_of_weights():
    imported = an_import(package=a_package("a", a_file("model/base.safetensors", "b"), a_file("model/new.pt", "c")))
    known = Known(holders={("0", digest("b")): "version:0/bert@1.0.0"})

    assert edges(assigned(imported, known=known), "derived-from") == [
        ("version:0/bert@1.0.0", "holds its model/base.safetensors")
    ]


def test_bytes_held_in_another_workspace_say_nothing():
    imported = an_import(workspace="vision", package=a_package("a", a_file("base.pt", "b")))
    known = Known(holders={("0", digest("b")): "version:0/bert@1.0.0"})

    assert [edge.kind for edge in assigned(imported, known=known).edges] == ["trained-by"]


@pytest.mark.parametrize(
    "path", ["tokenizer.json", "LICENSE", "config.json", "vocab.txt", "model/customize_service.py", "README.md", "pt"]
)
def test_files_that_are_no_weights_say_nothing_of_descent(path: str):
    imported = an_import(package=a_package("a", a_file(path, "b")))
    known = Known(holders={("0", digest("b")): "version:0/bert@1.0.0"})

    assert edges(assigned(imported, known=known), "derived-from") == []


@pytest.mark.parametrize(
    "path",
    [
        "tokenizer.model",
        "model/spiece.model",
        "sentencepiece.bpe.model",
        "training_args.bin",
        "checkpoint-500/optimizer.pt",
        "scheduler.pt",
        "rng_state_0.pth",
    ],
)
def test_tokenizers_and_the_state_of_a_training_say_nothing_of_descent(path: str):
    imported = an_import(package=a_package("a", a_file(path, "b")))
    known = Known(holders={("0", digest("b")): "version:0/bert@1.0.0"})

    assert edges(assigned(imported, known=known), "derived-from") == []


def test_an_empty_file_says_nothing_of_descent():
    imported = an_import(package=a_package("a", a_file("model/placeholder.bin", "e", size_bytes=0)))
    known = Known(holders={("0", digest("e")): "version:0/bert@1.0.0"})

    assert edges(assigned(imported, known=known), "derived-from") == []


def test_a_base_that_is_named_and_found_by_several_files_is_one_edge_with_the_relation_that_was_named():
    imported = an_import(
        bases=(Base(model="bert", version="1.0.0", relation="adapter"),),
        package=a_package("a", a_file("one.pt", "b"), a_file("two.pt", "c")),
    )
    bert = "version:0/bert@1.0.0"
    known = Known(kin=knowing(bert).kin, holders={("0", digest("b")): bert, ("0", digest("c")): bert})

    assert edges(assigned(imported, known=known), "derived-from") == [(bert, "adapter")]


def test_bases_are_in_the_order_named_then_found():
    imported = an_import(
        bases=(
            Base(model="z", version="0.0.1", relation="merged"),
            Base(model="b", version="0.0.1", relation="merged"),
        ),
        package=a_package("a", a_file("one.pt", "c")),
    )
    known = Known(
        kin=knowing("version:0/z@0.0.1", "version:0/b@0.0.1").kin, holders={("0", digest("c")): "version:0/a@0.0.1"}
    )

    assert edges(assigned(imported, known=known), "derived-from") == [
        ("version:0/z@0.0.1", "merged"),
        ("version:0/b@0.0.1", "merged"),
        ("version:0/a@0.0.1", "holds its one.pt"),
    ]


def test_a_package_with_the_same_bytes_is_a_twin_and_not_a_base_for_each_of_its_files():
    imported = an_import(package=a_package("a", a_file("weights.pt", "b")))
    twin = "version:0/bert@1.0.0"
    known = Known(holders={("0", digest("a")): twin, ("0", digest("b")): twin})

    decision = assigned(imported, known=known)

    assert edges(decision, "same-bytes-as") == [(twin, None)]
    assert edges(decision, "derived-from") == []


def test_a_twin_may_name_bases_all_the_same():
    imported = an_import(bases=(Base(model="gpt", version="0.0.1"),))
    known = Known(kin=knowing("version:0/gpt@0.0.1").kin, holders={("0", digest("a")): "version:0/bert@1.0.0"})

    decision = assigned(imported, known=known)

    assert edges(decision, "derived-from") == [("version:0/gpt@0.0.1", "resumed")]
    assert edges(decision, "same-bytes-as") == [("version:0/bert@1.0.0", None)]


def test_deciding_again_says_the_same():
    known = Known(holders={("0", digest("a")): "version:0/bert@1.0.0"})

    assert assigned(an_import(), known=known) == assigned(an_import(), known=known)


@pytest.mark.parametrize(
    ("before", "version", "after"),
    [
        (Head(), "0.0.1", Head(1, number("0.0.1"))),
        (Head(1, number("0.0.1")), "7.0.0", Head(2, number("7.0.0"))),
        (Head(2, number("7.0.0")), "0.0.5", Head(3, number("7.0.0"))),
        (Head(1, number("0.0.9")), "0.0.10", Head(2, number("0.0.10"))),
    ],
)
def test_the_head_counts_every_version_and_keeps_the_highest_number(before: Head, version: str, after: Head):
    assert advanced(before, assigned(an_import(requested_version=version), before)) == after


def test_what_was_decided_is_known_to_those_decided_after_it():
    first, known = an_import("import-1", package=a_package("a", a_file("w.pt", "b"))), Known()
    decision = assigned(first, known=known)
    known.learn(first, decision, kin_of(first, decision, known))
    second = an_import("import-2", model="bert", bases=(Base(model="resnet", version="0.0.1"),), package=first.package)

    later = decide(second, Head(), known, NOON)

    assert isinstance(later, VersionAssigned)
    assert [(edge.kind, edge.target) for edge in later.edges] == [
        ("trained-by", "job:0/job-7@V001"),
        ("derived-from", "version:0/resnet@0.0.1"),
        ("same-bytes-as", "version:0/resnet@0.0.1"),
    ]


def test_bytes_stay_with_the_version_that_held_them_first():
    known = Known()
    for model in ("resnet", "bert"):
        imported = an_import(model=model)
        decision = assigned(imported)
        known.learn(imported, decision, kin_of(imported, decision, known))

    assert known.holders == {("0", digest("a")): "version:0/resnet@0.0.1"}


def test_a_node_is_named_by_workspace_model_and_number():
    assert version_node("视觉", "模型", "1.2.3") == "version:视觉/模型@1.2.3"


@pytest.mark.parametrize(
    ("changes", "asked"),
    [
        ({}, []),
        ({"requested_version": "1.0.0"}, ["version:0/resnet@1.0.0"]),
        (
            {"requested_version": "1.0.0", "bases": (Base(model="bert", version="0.0.2"), Base(digest=digest("b")))},
            ["version:0/resnet@1.0.0", "version:0/bert@0.0.2"],
        ),
    ],
)
def test_a_decision_asks_for_the_number_and_the_bases_it_names(changes: dict[str, Any], asked: list[str]):
    assert list(nodes_asked_for(an_import(**changes))) == asked


def test_a_version_is_known_by_its_package_and_its_weights():
    imported = an_import(
        package=a_package("a", a_file("model/w.pt", "b"), a_file("notes.txt", "c")), bases=(Base(digest=digest("d")),)
    )

    assert list(digests_held(imported)) == [digest("a"), digest("b")]
    assert list(digests_asked_for(imported)) == [digest("a"), digest("b"), digest("d")]
