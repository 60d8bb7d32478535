"""What is in a package, as read from the bytes of its files: formats, tensors, model cards, and files that would run code."""

from typing import Literal

from pydantic import Field, JsonValue

from shared.values import Value


class Tensor(Value):
    """An input or output of a model."""

    name: str
    dtype: str = Field(description="such as float32; as the format says it, in lower case")
    shape: tuple[int | str | None, ...] = Field(
        default=(), description="a number, the name of a dimension that is free, or null where nothing is said"
    )


class ModelFile(Value):
    """A file whose format is known, and what it says of itself. What a format does not tell is left out."""

    path: str
    format: str = Field(description="safetensors, onnx, gguf, pytorch-zip, torchscript, saved-model, …")
    framework: str | None = Field(default=None, description="what wrote it: pytorch, tensorflow, scikit-learn, …")
    framework_version: str | None = None
    tensor_count: int | None = Field(default=None, ge=0)
    parameter_count: int | None = Field(default=None, ge=0, description="numbers in all tensors")
    dtypes: dict[str, int] = Field(default_factory=dict, description="dtype → how many tensors have it")
    inputs: tuple[Tensor, ...] = ()
    outputs: tuple[Tensor, ...] = ()
    details: dict[str, JsonValue] = Field(
        default_factory=dict, description="what else the format tells: opset, architecture, quantization, …"
    )
    problem: str | None = Field(default=None, description="why no more could be read of it")


class HuggingFaceFolder(Value):
    """A folder in the layout of Hugging Face transformers, from its config.json and model card."""

    path: str = Field(description="of the folder; '' is the package itself")
    model_type: str | None = None
    architectures: tuple[str, ...] = ()
    transformers_version: str | None = None
    torch_dtype: str | None = None
    config: dict[str, JsonValue] = Field(
        default_factory=dict, description="the config.json; left out where it is large"
    )
    card: str | None = Field(default=None, description="path of the model card")
    licence: str | None = None
    base_models: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()


class MLflowFolder(Value):
    """A folder in the layout of MLflow, from its MLmodel file."""

    path: str = Field(description="of the folder; '' is the package itself")
    mlflow_version: str | None = None
    flavors: dict[str, str | None] = Field(default_factory=dict, description="flavor → version of its framework")
    run_id: str | None = None
    model_uuid: str | None = None
    inputs: tuple[JsonValue, ...] = Field(default=(), description="of the signature")
    outputs: tuple[JsonValue, ...] = ()


class UnsafeFile(Value):
    """A file that would run code when it is loaded, or that nobody can say does not."""

    path: str = Field(description="'!/' goes into an archive: model.zip!/data.pkl")
    verdict: Literal["dangerous", "unknown", "unreadable"] = Field(
        description="dangerous: names what runs code; unknown: names what is on no list; unreadable: cannot be judged"
    )
    imports: tuple[str, ...] = Field(default=(), description="module.name of each that is not known to be harmless")
    message: str


class Contents(Value):
    """Everything that was learned from the files of a package, without running them."""

    files: tuple[ModelFile, ...] = Field(default=(), description="by path; the largest 64 where there are more")
    hugging_face: tuple[HuggingFaceFolder, ...] = ()
    mlflow: tuple[MLflowFolder, ...] = ()
    unsafe: tuple[UnsafeFile, ...] = Field(default=(), description="by path; the worst 64 where there are more")
