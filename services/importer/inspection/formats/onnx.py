"""ONNX models: opsets, inputs, outputs and initializers, read past the tensors; and whether external data stays in the package."""

import posixpath
from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from pydantic import JsonValue

from services.importer.inspection.formats.protobuf import BYTES, Field, Message
from services.importer.inspection.reading import Stream, Unreadable, product, shortened
from shared.contents import ModelFile, Tensor

_DTYPES: Final = ["undefined", "float32", "uint8", "int8", "uint16", "int16", "int32", "int64", "string", "bool", "float16", "float64", "uint32", "uint64", "complex64", "complex128", "bfloat16", "float8e4m3fn", "float8e4m3fnuz", "float8e5m2", "float8e5m2fnuz", "uint4", "int4", "float4e2m1", "float8e8m0", "uint2", "int2"]  # fmt: skip
_OWN_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview.training"})
_MOST_TENSORS, _MOST_NAMED = 64, 32
_MOST_EXTERNAL = 10_000
# ruff: noqa: PLR2004  # the numbers of fields are those of onnx.proto


@dataclass(slots=True)
class _Model:
    """What was read so far."""

    ir_version: int = 0
    producer: str = ""
    producer_version: str = ""
    opsets: dict[str, int] = field(default_factory=dict)
    graph: str = ""
    graphs: int = 0
    nodes: int = 0
    domains: Counter[str] = field(default_factory=Counter)
    initializers: set[str] = field(default_factory=set)
    tensors: int = 0
    parameters: int = 0
    dtypes: Counter[str] = field(default_factory=Counter)
    constants: int = 0
    """Numbers in tensors that are no initializers: those of Constant nodes, above all."""
    inputs: list[Tensor] = field(default_factory=list)
    outputs: list[Tensor] = field(default_factory=list)
    external: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Onnx:
    described: ModelFile
    external: tuple[str, ...]
    """Paths of the files that hold its tensors, as it names them."""


def describe_onnx(path: str, stream: Stream) -> Onnx:
    model = _Model()
    whole = Message(stream, 0, stream.size_bytes or 0)
    for part in whole:
        _read_part(model, whole, part)
    if not model.graphs or not model.ir_version:
        raise Unreadable("has no graph and no ir_version: expected an ONNX model")
    details: dict[str, JsonValue] = {
        "ir_version": model.ir_version,
        "opsets": {domain or "ai.onnx": version for domain, version in list(model.opsets.items())[:_MOST_NAMED]},
        "graph": shortened(model.graph),
        "nodes": model.nodes,
    }
    if model.constants:
        details["constant_parameters"] = model.constants
    custom = [shortened(domain) for domain in model.domains if domain not in _OWN_DOMAINS]
    if custom:
        details["custom_domains"] = list[JsonValue](custom[:_MOST_NAMED])
    external = tuple(model.external)
    if external:
        details["external_data"] = [shortened(name, 200) for name in external[:8]]
    described = ModelFile(
        path=path,
        format="onnx",
        framework=shortened(model.producer) or None,
        framework_version=shortened(model.producer_version, 40) or None,
        tensor_count=model.tensors,
        parameter_count=model.parameters,
        dtypes=dict(model.dtypes),
        # Before IR version 4, every initializer was an input too.
        inputs=tuple(tensor for tensor in model.inputs if tensor.name not in model.initializers)[:_MOST_TENSORS],
        outputs=tuple(model.outputs[:_MOST_TENSORS]),
        details=details,
    )
    return Onnx(described, external)


def leaves_package(path: str, external: str) -> bool:
    """Whether the data file that a model names lies outside of the package that the model is in."""
    name = external.replace("\\", "/")
    joined = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    return name.startswith("/") or name[1:2] == ":" or joined.split("/")[0] == ".."


def _read_part(model: _Model, whole: Message, part: Field) -> None:
    match part.number:
        case 1 if part.wire != BYTES:
            model.ir_version = part.value
        case 2:
            model.producer = whole.text(part)
        case 3:
            model.producer_version = whole.text(part)
        case 7:
            model.graphs += 1
            _read_graph(model, whole.message(part))
        case 8:
            _read_opset(model, whole.message(part))
        case 25:
            _read_function(model, whole.message(part))


def _read_opset(model: _Model, opset: Message) -> None:
    domain, version = "", 0
    for part in opset:
        if part.number == 1:
            domain = opset.text(part)
        elif part.number == 2:
            version = part.value
    if len(model.opsets) < _MOST_NAMED:
        model.opsets[shortened(domain)] = version


def _read_graph(model: _Model, graph: Message) -> None:
    for part in graph:
        match part.number:
            case 1:
                _read_node(model, graph.message(part))
            case 2:
                model.graph = graph.text(part)
            case 5:
                _read_tensor(model, graph.message(part), counted=True)
            case 11 if len(model.inputs) < 100_000:
                model.inputs.append(_value_info(graph.message(part)))
            case 12 if len(model.outputs) < _MOST_TENSORS:
                model.outputs.append(_value_info(graph.message(part)))
            case 15:
                _read_sparse(model, graph.message(part))


def _read_sparse(model: _Model, sparse: Message) -> None:
    for part in sparse:
        if part.number in (1, 2):
            _read_tensor(model, sparse.message(part), counted=part.number == 1)


def _read_function(model: _Model, function: Message) -> None:
    for part in function:
        if part.number == 7:
            _read_node(model, function.message(part))


def _read_node(model: _Model, node: Message, depth: int = 0) -> None:
    model.nodes += depth == 0
    domain = ""
    for part in node:
        if part.number == 7:
            domain = node.text(part)
        elif part.number == 5:
            _read_attribute(model, node.message(part), depth)
    if len(model.domains) < _MOST_NAMED or domain in model.domains:
        model.domains[domain] += 1


def _read_attribute(model: _Model, attribute: Message, depth: int) -> None:
    """Attributes hold tensors, whose data may be external, and graphs of branches and loops."""
    if depth > 16:
        raise Unreadable("has graphs within graphs, deeper than can be followed")
    for part in attribute:
        if part.number in (5, 10):
            _read_tensor(model, attribute.message(part), counted=False)
        elif part.number in (6, 11):
            _read_inner_graph(model, attribute.message(part), depth)


def _read_inner_graph(model: _Model, graph: Message, depth: int) -> None:
    for part in graph:
        if part.number == 1:
            _read_node(model, graph.message(part), depth + 1)
        elif part.number == 5:
            _read_tensor(model, graph.message(part), counted=True)


def _read_tensor(model: _Model, tensor: Message, *, counted: bool) -> None:
    sizes: list[int] = []
    dtype, name = 0, ""
    for part in tensor:
        match part.number:
            case 1:
                sizes += tensor.numbers(part)
            case 2:
                dtype = part.value
            case 8:
                name = tensor.text(part)
            case 13:
                _read_external(model, tensor.message(part))
    if not counted:
        model.constants += product(tuple(sizes))
    else:
        model.initializers.add(name)
        model.tensors += 1
        model.parameters += product(tuple(sizes))
        model.dtypes[_dtype(dtype)] += 1


def _read_external(model: _Model, entry: Message) -> None:
    key, value = "", ""
    for part in entry:
        if part.number == 1:
            key = entry.text(part)
        elif part.number == 2:
            value = entry.text(part)
    if key == "location" and value and len(model.external) < _MOST_EXTERNAL:
        model.external[value] = None


def _dtype(number: int) -> str:
    return _DTYPES[number] if number < len(_DTYPES) else f"type {min(number, 10**6)}"


def _value_info(info: Message) -> Tensor:
    name, dtype, shape = "", "undefined", tuple[int | str | None, ...]()
    for part in info:
        if part.number == 1:
            name = info.text(part)
        elif part.number == 2:
            dtype, shape = _type(info.message(part))
    return Tensor(name=shortened(name, 200), dtype=dtype, shape=shape)


def _type(proto: Message) -> tuple[str, tuple[int | str | None, ...]]:
    """Type and shape of a tensor; of another kind of value, only which."""
    kinds = {4: "sequence", 5: "map", 8: "sparse tensor", 9: "optional"}
    for part in proto:
        if part.number == 1:
            return _tensor_type(proto.message(part))
        if part.number in kinds:
            return kinds[part.number], ()
    return "undefined", ()


def _tensor_type(tensor: Message) -> tuple[str, tuple[int | str | None, ...]]:
    dtype, shape = "undefined", list[int | str | None]()
    for part in tensor:
        if part.number == 1:
            dtype = _dtype(part.value)
        elif part.number == 2:
            dimensions = tensor.message(part)
            for dimension in dimensions:
                if len(shape) < _MOST_NAMED:
                    shape.append(_dimension(dimensions.message(dimension)))
    return dtype, tuple(shape)


def _dimension(proto: Message) -> int | str | None:
    for part in proto:
        if part.number == 1:
            return next(proto.numbers(part))
        if part.number == 2:
            return shortened(proto.text(part))
    return None
