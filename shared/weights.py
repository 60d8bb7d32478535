"""Which files of a package hold what was learned."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from shared.values import File, Package

# What holds learned weights. Other files (tokenizers, licences, configuration) are alike in models that have nothing to do
# with each other, so equal bytes there say nothing of descent.
WEIGHTS = frozenset(
    [
        ".bin",
        ".caffemodel",
        ".ckpt",
        ".gguf",
        ".h5",
        ".jit",
        ".joblib",
        ".keras",
        ".m",
        ".mindir",
        ".model",
        ".npz",
        ".om",
        ".onnx",
        ".params",
        ".pb",
        ".pkl",
        ".pt",
        ".pth",
        ".safetensors",
        ".skops",
        ".tflite",
        ".ubj",
    ]
)
# These end like weights, and are the state of a training, or a tokenizer that many models share.
NO_WEIGHTS = ("tokenizer", "spiece", "sentencepiece", "training_args", "optimizer", "scheduler", "rng_state")


def weights_of(package: Package) -> Iterator[File]:
    """By path, as far as the package names its files."""
    return (file for file in package.files if _is_weights(file))


def _is_weights(file: File) -> bool:
    path = PurePosixPath(file.path)
    return file.size_bytes > 0 and path.suffix in WEIGHTS and not path.name.startswith(NO_WEIGHTS)
