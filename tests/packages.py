"""Sample packages: whole and valid, one for each engine and each way it may be given; path → bytes."""

import json
from typing import Any, NamedTuple

# Plausible beginnings; rules look at names and sizes, not into the files.
PB = b"\x08\x01\x12\x07"
ZIP = b"PK\x03\x04"
PICKLE = b"\x80\x04K\x01."

MODEL_FILES: dict[str, dict[str, bytes]] = {
    "TensorFlow": {
        "saved_model.pb": PB,
        "variables/variables.index": b"\x00\x00index",
        "variables/variables.data-00000-of-00001": b"\x00\x00\x80\x3f",
    },
    "MindSpore": {"resnet.ckpt": b"\x0a\x06conv1."},
    "MXNet": {"resnet-symbol.json": b'{"nodes": []}', "resnet-0010.params": b"\x12\x01\x00\x00"},
    "Caffe": {"deploy.prototxt": b'name: "LeNet"', "lenet.caffemodel": b"\x0a\x05LeNet"},
    "PyTorch": {"resnet.pth": ZIP},
    "XGBoost": {"boost.m": PICKLE},
    "Scikit_Learn": {"iris.m": PICKLE},
    "Spark_MLlib": {"spark_model/metadata/part-00000": b"{}", "spark_model/metadata/_SUCCESS": b""},
    "ONNX": {"resnet.onnx": b"\x08\x07"},
    "Image": {},
}


class Alternative(NamedTuple):
    """Another way to give a model of an engine."""

    engine: str
    files: dict[str, bytes]


ALTERNATIVES: tuple[Alternative, ...] = (
    Alternative("TensorFlow", {"frozen_graph.pb": PB}),
    Alternative(
        "TensorFlow",
        {
            "saved_model.pb": PB,
            "variables/variables.index": b"index",
            "variables/variables.data-00000-of-00002": b"\x00",
            "variables/variables.data-00001-of-00002": b"\x00",
        },
    ),
    Alternative("MindSpore", {"resnet.om": b"IMOD"}),
    Alternative("MindSpore", {"resnet.mindir": b"\x0a\x05"}),
    Alternative("PyTorch", {"resnet.pt": ZIP}),
    Alternative("PyTorch", {"resnet.safetensors": b"\x02\x00\x00\x00\x00\x00\x00\x00{}"}),
    Alternative("PyTorch", {"model-00001-of-00002.safetensors": b"\x02", "model-00002-of-00002.safetensors": b"\x02"}),
    Alternative("XGBoost", {"boost.ubj": b"{L"}),
    Alternative("XGBoost", {"boost.json": b'{"learner": {}}'}),
    Alternative("XGBoost", {"boost.m": PICKLE, "labels.json": b"[]"}),
    Alternative("Scikit_Learn", {"iris.pkl": PICKLE}),
    Alternative("Scikit_Learn", {"iris.joblib": PICKLE}),
    Alternative("Scikit_Learn", {"iris.skops": ZIP}),
    Alternative("ONNX", {"large.onnx": b"\x08\x07", "large.onnx.data": b"\x00"}),
)


def valid_config(engine: str = "PyTorch", **changes: Any) -> dict[str, Any]:
    """The configuration of a package that is imported from object storage. A change to None leaves the key out."""
    config: dict[str, Any] = {"model_algorithm": "image_classification", "model_type": engine}
    if engine == "Image":
        config["swr_location"] = "registry.example.com/vision/detector:1.0"
        config["health"] = {"url": "/health", "protocol": "http", "initial_delay_seconds": 5, "timeout_seconds": 10}
    else:
        config["runtime"] = "python3.11"
    config |= changes
    return {key: value for key, value in config.items() if value is not None}


def valid_package(engine: str = "PyTorch", **changes: Any) -> dict[str, bytes]:
    """A package of this engine; the changes are to its config.json."""
    return package_of(MODEL_FILES[engine], valid_config(engine, **changes))


def package_of(model_files: dict[str, bytes], config: dict[str, Any]) -> dict[str, bytes]:
    """These files and this configuration in the folder `model`."""
    files = {f"model/{path}": content for path, content in model_files.items()}
    return {"model/config.json": json.dumps(config).encode(), **files}
