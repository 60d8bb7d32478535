"""ONNX models, compared with what the onnx package reads of them, and TensorFlow graphs made by hand."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from services.importer.inspection.inspect import inspect_package
from tests.unit.inspection.files import described, found, only_unsafe, unsafe


def model_of(nodes: list[onnx.NodeProto], initializers: list[onnx.TensorProto] = [], **opsets: int) -> onnx.ModelProto:  # noqa: B006  # never changed
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 3, None])],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [2])],
        initializers,
    )
    imports = [
        helper.make_opsetid("", 17),
        *(helper.make_opsetid(domain, version) for domain, version in opsets.items()),
    ]
    return helper.make_model(graph, producer_name="tests", producer_version="1.2", ir_version=8, opset_imports=imports)


def tensor(name: str, dtype: str, shape: tuple[int, ...]) -> onnx.TensorProto:
    return numpy_helper.from_array(np.zeros(shape, dtype), name)


def constant(*shape: int) -> onnx.NodeProto:
    return helper.make_node("Constant", [], ["c"], value=tensor("c", "float32", shape))


def external(location: str) -> onnx.TensorProto:
    made = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2], data_location=TensorProto.EXTERNAL)
    made.external_data.add(key="location", value=location)
    made.external_data.add(key="offset", value="0")
    return made


def test_onnx():
    initializers = [tensor("w", "float32", (4, 5)), tensor("b", "float32", (5,)), tensor("n", "int64", ())]

    read = described("m.onnx", model_of([helper.make_node("Relu", ["x"], ["y"])], initializers).SerializeToString())

    assert (read.format, read.framework, read.framework_version) == ("onnx", "tests", "1.2")
    assert (read.tensor_count, read.parameter_count, read.dtypes) == (3, 26, {"float32": 2, "int64": 1})
    assert [(put.name, put.dtype, put.shape) for put in read.inputs] == [("x", "float32", ("batch", 3, None))]
    assert [(put.name, put.dtype, put.shape) for put in read.outputs] == [("y", "int64", (2,))]
    assert read.details == {"ir_version": 8, "opsets": {"ai.onnx": 17}, "graph": "net", "nodes": 1}


@pytest.mark.parametrize(
    "dtype", ["float32", "float64", "float16", "int8", "int32", "int64", "uint8", "uint64", "bool", "complex64"]
)
@pytest.mark.parametrize("shape", [(), (1,), (3, 0, 2), (2, 3, 4, 5, 6)])
def test_initializers_of_onnx_are_counted_as_numpy_counts_them(dtype: str, shape: tuple[int, ...]):
    made = model_of([constant(2)], [tensor("w", dtype, shape)])

    read = described("m.onnx", made.SerializeToString())

    assert read.parameter_count == np.zeros(shape, dtype).size
    assert read.dtypes == {np.dtype(dtype).name: 1}


def test_initializers_that_are_inputs_too_are_no_inputs():
    made = model_of([constant(2)], [tensor("w", "float32", (2,))])
    made.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]))

    assert [put.name for put in described("m.onnx", made.SerializeToString()).inputs] == ["x"]


def test_numbers_in_constants_are_told_apart():
    assert described("m.onnx", model_of([constant(4, 5)]).SerializeToString()).details["constant_parameters"] == 20


def test_custom_operations_of_onnx_are_named_and_not_unsafe():
    made = model_of([helper.make_node("Mine", ["x"], ["y"], domain="com.mine")], com_mine=1).SerializeToString()

    assert described("m.onnx", made).details["custom_domains"] == ["com.mine"]
    assert unsafe("m.onnx", made) == []


def test_a_branch_of_onnx_is_read():
    branch = helper.make_graph([constant(6)], "then", [], [], [tensor("v", "int32", (7,))])
    made = model_of([helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)])

    read = described("m.onnx", made.SerializeToString())

    assert (read.parameter_count, read.details["constant_parameters"]) == (14, 12)


def test_external_data_in_the_package_is_found():
    made = found("model/m.onnx", model_of([constant(1)], [external("data/w.bin")]).SerializeToString())

    contents = inspect_package([made, found("model/data/w.bin", bytes(8))])

    assert contents.files[0].problem is None
    assert contents.files[0].details["external_data"] == ["data/w.bin"]


def test_external_data_that_is_missing_is_a_problem():
    assert described("m.onnx", model_of([constant(1)], [external("w.bin")]).SerializeToString()).problem == (
        "its tensors are in 'w.bin': expected that file in the package"
    )


@pytest.mark.parametrize("location", ["/etc/passwd", "../w.bin", "a/../../w.bin", "..\\w.bin", "C:\\w.bin"])
def test_external_data_outside_of_the_package_is_dangerous(location: str):
    judged = only_unsafe("m.onnx", model_of([constant(1)], [external(location)]).SerializeToString())

    assert judged.verdict == "dangerous"
    assert judged.message.startswith("it reads ")


def test_external_data_that_is_named_twice_or_behind_a_group_is_seen():
    twice = external("/etc/passwd")
    twice.external_data.add(key="location", value="w.bin")
    tensor_in_group = part(
        7, varint(9 << 3 | 3) + part(5, part(13, part(1, "location") + part(2, "../w"))) + varint(9 << 3 | 4)
    )

    assert unsafe("m.onnx", model_of([constant(1)], [twice]).SerializeToString()) == [("m.onnx", "dangerous")]
    assert unsafe("m.onnx", part(1, 8) + tensor_in_group) == [("m.onnx", "dangerous")]


def test_external_data_of_a_constant_is_seen():
    node = helper.make_node("Constant", [], ["c"], value=external("/etc/passwd"))

    assert unsafe("m.onnx", model_of([node]).SerializeToString()) == [("m.onnx", "dangerous")]


def varint(number: int) -> bytes:
    number &= 2**64 - 1
    text = b""
    while number > 0x7F:
        text += bytes([number & 0x7F | 0x80])
        number >>= 7
    return text + bytes([number])


def part(number: int, value: bytes | str | int) -> bytes:
    """A field of a protocol buffer."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    content = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(content)) + content


def node(operation: str, *more: bytes) -> bytes:
    return part(1, part(1, operation.lower()) + part(2, operation) + b"".join(more))


def info(dtype: int, *sizes: int) -> bytes:
    shape = b"".join(part(2, part(1, size)) for size in sizes)
    return part(1, "x:0") + part(2, dtype) + part(3, shape)


def saved_model(*operations: bytes) -> bytes:
    signature = part(1, part(1, "image") + part(2, info(4, -1, 28, 28))) + part(
        2, part(1, "class") + part(2, info(9, -1))
    )
    meta = part(1, part(4, "serve") + part(5, "2.16.1")) + part(2, b"".join(operations))
    return part(1, 1) + part(2, meta + part(5, part(1, "serving_default") + part(2, signature)))


def test_a_saved_model():
    read = described("saved_model.pb", saved_model(node("Placeholder"), node("MatMul")))

    assert (read.format, read.framework, read.framework_version) == ("saved-model", "tensorflow", "2.16.1")
    assert [(put.name, put.dtype, put.shape) for put in read.inputs] == [("image", "uint8", (None, 28, 28))]
    assert [(put.name, put.dtype, put.shape) for put in read.outputs] == [("class", "int64", (None,))]
    assert read.details == {"tags": ["serve"], "signatures": ["serving_default"], "nodes": 2}


def test_a_frozen_graph():
    dtype = part(5, part(1, "dtype") + part(2, part(6, 1)))

    read = described("graph.pb", node("Placeholder", dtype) + node("MatMul"))

    assert (read.format, read.details) == ("frozen-graph", {"nodes": 2})
    assert [(put.name, put.dtype) for put in read.inputs] == [("placeholder", "float32")]


@pytest.mark.parametrize(
    ("operation", "verdict"), [("WriteFile", "dangerous"), ("ReadFile", "unknown"), ("PyFunc", "unknown")]
)
def test_operations_that_touch_files_are_unsafe(operation: str, verdict: str):
    assert unsafe("saved_model.pb", saved_model(node(operation))) == [("saved_model.pb", verdict)]
    assert unsafe("graph.pb", node(operation)) == [("graph.pb", verdict)]


def test_operations_in_functions_are_seen():
    function = part(2, part(1, part(3, part(2, "WriteFile"))))

    assert unsafe("saved_model.pb", saved_model(node("MatMul"), function)) == [("saved_model.pb", "dangerous")]


@pytest.mark.parametrize(
    "content",
    [part(7, part(1, b"\xff" * 20)), varint(7 << 3 | 2) + varint(2**62), part(1, 8) + part(7, part(5, part(1, 2**63)))],
)
def test_onnx_that_is_broken_is_a_problem(content: bytes):
    assert described("m.onnx", content).problem is not None


def test_graphs_a_thousand_deep_are_not_followed():
    graph = part(1, part(4, "If"))
    for _ in range(1000):
        graph = part(1, part(4, "If") + part(5, part(6, graph)))

    assert described("m.onnx", part(1, 8) + part(7, graph)).problem == (
        "has graphs within graphs, deeper than can be followed: expected a whole onnx file"
    )
