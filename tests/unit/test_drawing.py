"""Lineage as a tree, as dot, as mermaid."""

import itertools
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from modelkin.drawing import dot, lineage_tree, mermaid, short_name
from tests.answers import a_graph, a_lineage_version, an_edge

FAMILY = a_graph(
    "resnet@0.0.2",
    [
        a_lineage_version("resnet@0.0.2", metrics={"f1": 0.5}),
        a_lineage_version("resnet@0.0.1", steps=1),
        a_lineage_version("bert@1.0.0", steps=2, deleted=True),
        a_lineage_version("small@0.0.1", steps=-1),
    ],
    an_edge("resnet@0.0.2", "succeeds", "resnet@0.0.1"),
    an_edge("resnet@0.0.2", "trained-by", "job:0/job-7@V002"),
    an_edge("resnet@0.0.2", "trained-on", "dataset:0/cats@2"),
    an_edge("resnet@0.0.2", "built-from", "code:git.example/cats@abc"),
    an_edge("resnet@0.0.2", "derived-from", "resnet@0.0.1", "fine-tuned"),
    an_edge("resnet@0.0.2", "deployed-as", "service:0/shop"),
    an_edge("resnet@0.0.1", "trained-on", "dataset:0/cats@1"),
    an_edge("resnet@0.0.1", "derived-from", "bert@1.0.0", "holds its model/a.pt"),
    an_edge("small@0.0.1", "derived-from", "resnet@0.0.2", "distilled"),
    an_edge("small@0.0.1", "deployed-as", "service:0/phone"),
)


def _lines(graph, direction="both"):
    return lineage_tree(graph, direction).plain.splitlines()


def test_a_tree_has_ancestors_above_and_descendants_below():
    assert _lines(FAMILY) == [
        "resnet 0.0.2  f1=0.5",
        "├── succeeds resnet 0.0.1",
        "├── trained by job-7@V002",
        "├── trained on cats@2",
        "├── built from git.example/cats@abc",
        "├── derived from resnet 0.0.1 (fine-tuned)",
        "│   └── derived from bert 1.0.0 (deleted) (holds its model/a.pt)",
        "├── deployed as shop",
        "└── descendants",
        "    └── small 0.0.1 derived from it (distilled)",
        "        └── deployed as phone",
    ]


def test_a_tree_goes_one_way_where_that_is_asked_for():
    assert _lines(FAMILY, "down") == [
        "resnet 0.0.2  f1=0.5",
        "├── deployed as shop",
        "└── descendants",
        "    └── small 0.0.1 derived from it (distilled)",
        "        └── deployed as phone",
    ]
    assert "└── descendants" not in _lines(FAMILY, "up")


def test_a_version_met_on_many_ways_is_drawn_once():
    width = 20
    names = [f"m@0.0.{place}" for place in range(width + 1)]
    rungs = [
        edge
        for low, high in itertools.pairwise(names)
        for side in ("a", "b")
        for edge in (
            an_edge(low, "derived-from", f"{side}{high}"),
            an_edge(f"{side}{high}", "derived-from", high),
        )
    ]

    nodes = [*names, *(f"{side}{name}" for name in names for side in ("a", "b"))]

    lines = _lines(a_graph(names[0], [a_lineage_version(name) for name in nodes], *rungs))

    assert len(lines) == 1 + 4 * width
    assert sum("(see above)" in line for line in lines) == width - 1


def test_a_tree_ends_where_the_graph_does():
    graph = a_graph(
        "a@0.0.1",
        [a_lineage_version("a@0.0.1"), a_lineage_version("b@0.0.1")],
        an_edge("a@0.0.1", "derived-from", "b@0.0.1"),
        an_edge("b@0.0.1", "derived-from", "c@0.0.1"),
        truncated=True,
    )

    assert _lines(graph)[1:] == [
        "├── derived from b 0.0.1",
        "└── … there is more: ask with a larger --depth, or of another version",
    ]


def test_a_cycle_ends():
    graph = a_graph(
        "a@0.0.1",
        [a_lineage_version("a@0.0.1"), a_lineage_version("b@0.0.1")],
        an_edge("a@0.0.1", "same-bytes-as", "b@0.0.1"),
        an_edge("b@0.0.1", "derived-from", "a@0.0.1"),
    )

    assert len(_lines(graph)) < 10


def test_a_chain_deeper_than_pythons_stack_is_drawn():
    names = [f"m{place}@0.0.1" for place in range(3000)]
    edges = [an_edge(low, "derived-from", high) for low, high in itertools.pairwise(names)]

    lines = _lines(a_graph(names[0], [a_lineage_version(name) for name in names], *edges))

    assert len(lines) == 3000
    assert lines[-1].endswith("derived from m2999 0.0.1")


def test_that_there_is_more_is_said():
    graph = a_graph("a@0.0.1", [a_lineage_version("a@0.0.1")], truncated=True)

    assert "there is more" in _lines(graph)[-1]
    assert "there is more" in dot(graph)
    assert "there is more" in mermaid(graph)


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("version:0/resnet@0.0.1", "resnet 0.0.1"),
        ("job:0/train-1@V001", "train-1@V001"),
        ("dataset:0/s3://a/b@1@2", "s3://a/b@1@2"),
        ("code:git.example/a@b", "git.example/a@b"),
        ("image:sha256:abc", "sha256:abc"),
        ("template:onnx", "onnx"),
        ("service:0/shop", "shop"),
    ],
)
def test_nodes_are_named_shortly(node, expected):
    assert short_name(node) == expected


def test_dot_has_every_node_and_edge_with_arrows_to_the_origin():
    assert dot(FAMILY).splitlines()[:7] == [
        "digraph lineage {",
        "  rankdir=BT;",
        '  n0 [label="resnet 0.0.2", shape=box, style="bold"];',
        '  n1 [label="resnet 0.0.1", shape=box];',
        '  n2 [label="bert 1.0.0 (deleted)", shape=box, style="dashed"];',
        '  n3 [label="small 0.0.1", shape=box];',
        '  n4 [label="job-7@V002", shape=cds];',
    ]
    assert '  n0 -> n1 [label="derived from (fine-tuned)"];' in dot(FAMILY)
    assert dot(FAMILY).count(" -> ") == 10


def test_mermaid_has_every_node_and_edge_with_arrows_to_the_origin():
    lines = mermaid(FAMILY).splitlines()

    assert lines[:6] == [
        "flowchart BT",
        '  n0["resnet 0.0.2"]',
        '  n1["resnet 0.0.1"]',
        '  n2["bert 1.0.0 (deleted)"]',
        '  n3["small 0.0.1"]',
        '  n4[["job-7@V002"]]',
    ]
    assert '  n0 -->|"derived from (fine-tuned)"| n1' in lines
    assert lines[-2:] == ["  style n0 stroke-width:3px", "  style n2 stroke-dasharray:4"]


def _hostile(name):
    return a_graph(
        "a@0.0.1",
        [a_lineage_version("a@0.0.1")],
        an_edge("a@0.0.1", "trained-on", f"dataset:0/{name}", name),
        an_edge("a@0.0.1", "built-from", f"code:{name}@{name}"),
    )


@given(st.text(min_size=1))
def test_no_name_is_taken_for_syntax(name):
    graph = _hostile(name)

    in_dot, in_mermaid = dot(graph).splitlines(), mermaid(graph).splitlines()

    text = r'"(?:[^"\\]|\\.)*"'
    rest = [re.sub(text, "T", line) for line in in_dot]
    assert rest == [
        "digraph lineage {",
        "  rankdir=BT;",
        "  n0 [label=T, shape=box, style=T];",
        "  n1 [label=T, shape=cylinder];",
        "  n2 [label=T, shape=note];",
        "  n0 -> n1 [label=T];",
        "  n0 -> n2 [label=T];",
        "}",
    ]
    labels = re.findall(r'"(.*?)"', "\n".join(in_mermaid))
    assert len(in_mermaid) == 7
    assert len(labels) == 5
    assert not any(set(label) & set("<>&`\"'[]{}|\\\n\r%") for label in labels)


def test_a_tree_obeys_no_name():
    said = "\n".join(_lines(_hostile("[red]x[/]\x1b[2J\n\\")))

    assert "\x1b" not in said
    assert said.count("\n") == 2
    assert "trained on [red]x[/]\\x1b[2J\\n\\" in said


def test_entities_in_a_name_are_shown_as_they_are_written():
    graph = a_graph("a@0.0.1", [a_lineage_version("a@0.0.1")], an_edge("a@0.0.1", "trained-on", "dataset:0/&lt;#35;"))

    assert '[label="&amp;lt;#35;", shape=cylinder]' in dot(graph)
    assert '[("#38;lt#59;#35;35#59;")]' in mermaid(graph)
