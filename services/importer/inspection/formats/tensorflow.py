"""TensorFlow: the signatures of a SavedModel, the nodes of a frozen graph, and operations that touch files."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from services.importer.inspection.formats.protobuf import BYTES, Message
from services.importer.inspection.pickles import Judgement
from services.importer.inspection.reading import Stream, Unreadable, shortened
from shared.contents import ModelFile, Tensor

# ruff: noqa: PLR2004  # the numbers of fields are those of saved_model.proto, meta_graph.proto and graph.proto

_DTYPES: Final = ["invalid", "float32", "float64", "int32", "uint8", "int16", "int8", "string", "complex64", "int64", "bool", "qint8", "quint8", "qint32", "bfloat16", "qint16", "quint16", "uint16", "complex128", "float16", "resource", "variant", "uint32", "uint64", "float8_e5m2", "float8_e4m3fn"]  # fmt: skip
_MOST_NAMED, _MOST_TENSORS, _MOST_DIMENSIONS = 32, 64, 32
_SERVING = "serving_default"
# They run with the model: one writes any file, the others read any, or call what the process has registered.
_WRITES, _READS = frozenset({"WriteFile"}), frozenset({"EagerPyFunc", "PyFunc", "PyFuncStateless", "ReadFile"})


@dataclass(slots=True)
class _Graph:
    tags: list[str] = field(default_factory=list)
    version: str | None = None
    nodes: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    placeholders: list[Tensor] = field(default_factory=list)
    signatures: dict[str, tuple[list[Tensor], list[Tensor]]] = field(default_factory=dict)

    @property
    def judgement(self) -> Judgement | None:
        for verdict, touching in (("dangerous", _WRITES), ("unknown", _READS)):
            if found := tuple(sorted(touching & self.operations.keys())):
                what = "writes files" if verdict == "dangerous" else "reads files or calls Python"
                return Judgement(verdict, found, f"its operation {found[0]} {what} when the model is used")
        return None


@dataclass(frozen=True, slots=True)
class TensorFlowModel:
    described: ModelFile
    judgement: Judgement | None


def describe_saved_model(path: str, stream: Stream) -> TensorFlowModel:
    whole = Message(stream, 0, stream.size_bytes or 0)
    graphs: list[_Graph] = []
    for part in whole:
        if part.number == 2 and len(graphs) < _MOST_NAMED:
            graphs.append(_meta_graph(whole.message(part)))
    if not graphs:
        raise Unreadable("has no graph: expected a TensorFlow SavedModel")
    graph = graphs[0]
    inputs, outputs = graph.signatures.get(_SERVING) or next(iter(graph.signatures.values()), ([], []))
    details: dict[str, JsonValue] = {"tags": list[JsonValue](graph.tags), "signatures": list[JsonValue](graph.signatures), "nodes": graph.nodes}  # fmt: skip
    described = ModelFile(
        path=path,
        format="saved-model",
        framework="tensorflow",
        framework_version=graph.version,
        inputs=tuple(inputs[:_MOST_TENSORS]),
        outputs=tuple(outputs[:_MOST_TENSORS]),
        details=details,
    )
    return TensorFlowModel(described, next((found for each in graphs if (found := each.judgement)), None))


def describe_frozen_graph(path: str, stream: Stream) -> TensorFlowModel:
    graph = _Graph()
    _read_graph(graph, Message(stream, 0, stream.size_bytes or 0))
    if not graph.nodes or "" in graph.operations:
        raise Unreadable("has no nodes: expected a frozen TensorFlow graph")
    described = ModelFile(
        path=path,
        format="frozen-graph",
        framework="tensorflow",
        inputs=tuple(graph.placeholders),
        details={"nodes": graph.nodes},
    )
    return TensorFlowModel(described, graph.judgement)


def _meta_graph(meta: Message) -> _Graph:
    graph = _Graph()
    for part in meta:
        match part.number:
            case 1:
                _read_info(graph, meta.message(part))
            case 2:
                _read_graph(graph, meta.message(part))
            case 5 if len(graph.signatures) < _MOST_NAMED:
                _read_signature(graph, meta.message(part))
    return graph


def _read_info(graph: _Graph, info: Message) -> None:
    for part in info:
        if part.number == 4 and len(graph.tags) < _MOST_NAMED:
            graph.tags.append(shortened(info.text(part)))
        elif part.number == 5:
            graph.version = shortened(info.text(part), 40)


def _read_graph(graph: _Graph, proto: Message) -> None:
    for part in proto:
        if part.number == 1:
            graph.nodes += 1
            _read_node(graph, proto.message(part))
        elif part.number == 2 and part.wire == BYTES:
            _read_library(graph, proto.message(part))


def _read_library(graph: _Graph, library: Message) -> None:
    """Functions, with nodes of their own."""
    for part in library:
        if part.number == 1:
            function = library.message(part)
            for inner in function:
                if inner.number == 3:
                    _read_node(graph, function.message(inner))


def _read_node(graph: _Graph, node: Message) -> None:
    name, operation, dtype = "", "", "undefined"
    for part in node:
        match part.number:
            case 1:
                name = node.text(part)
            case 2:
                operation = node.text(part)
            case 5 if operation == "Placeholder":
                dtype = _dtype_attribute(node.message(part)) or dtype
    if len(graph.operations) < 5000 or operation in _WRITES | _READS:
        graph.operations[operation] += 1
    if operation == "Placeholder" and len(graph.placeholders) < _MOST_TENSORS:
        graph.placeholders.append(Tensor(name=shortened(name, 200), dtype=dtype))


def _dtype_attribute(entry: Message) -> str | None:
    key, dtype = "", None
    for part in entry:
        if part.number == 1:
            key = entry.text(part)
        elif part.number == 2:
            value = entry.message(part)
            dtype = next((_dtype(inner.value) for inner in value if inner.number == 6), None)
    return dtype if key == "dtype" else None


def _read_signature(graph: _Graph, entry: Message) -> None:
    key, inputs, outputs = "", list[Tensor](), list[Tensor]()
    for part in entry:
        if part.number == 1:
            key = shortened(entry.text(part))
        elif part.number == 2:
            signature = entry.message(part)
            for inner in signature:
                tensors = {1: inputs, 2: outputs}.get(inner.number)
                if tensors is not None and len(tensors) < _MOST_TENSORS:
                    tensors.append(_named_tensor(signature.message(inner)))
    if key != "__saved_model_init_op":
        graph.signatures[key] = inputs, outputs


def _named_tensor(entry: Message) -> Tensor:
    key, dtype, shape = "", "undefined", list[int | str | None]()
    for part in entry:
        if part.number == 1:
            key = shortened(entry.text(part), 200)
        elif part.number == 2:
            info = entry.message(part)
            for inner in info:
                if inner.number == 2:
                    dtype = _dtype(inner.value)
                elif inner.number == 3:
                    shape = _shape(info.message(inner))
    return Tensor(name=key, dtype=dtype, shape=tuple(shape))


def _shape(proto: Message) -> list[int | str | None]:
    """Sizes; null for one that is free."""
    shape: list[int | str | None] = []
    for part in proto:
        if part.number == 2 and len(shape) < _MOST_DIMENSIONS:
            dimension = proto.message(part)
            size = next((next(dimension.numbers(inner)) for inner in dimension if inner.number == 1), 0)
            shape.append(None if size < 0 else size)
    return shape


def _dtype(number: int) -> str:
    plain = number - 100 if number > 100 else number  # references of TensorFlow 1
    return _DTYPES[plain] if plain < len(_DTYPES) else f"type {min(number, 10**6)}"
