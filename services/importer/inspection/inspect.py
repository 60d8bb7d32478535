"""What the files of a package are, and which of them are unsafe. Runs nothing of them and builds no object that they describe."""

import posixpath
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from services.importer.domain import Unacceptable
from services.importer.inspection import folders
from services.importer.inspection.bounding import bounded, largest, worst
from services.importer.inspection.describing import Described, describe
from services.importer.inspection.formats.onnx import leaves_package
from services.importer.inspection.pickles import Judgement
from services.importer.inspection.reading import Budget, Stream, Unreadable, shortened
from services.importer.inspection.scanning import Scan
from services.importer.ports import FoundFile
from shared.contents import Contents, HuggingFaceFolder, MLflowFolder, ModelFile, UnsafeFile
from shared.errors import Transient

_UNPACKED_BYTES, _MEMBERS = 4 * 1024**3, 500_000
_MOST_FOLDERS = 64
# Text, pictures and code that a package brings openly: no loader of models opens them.
_PLAIN = frozenset({".c", ".cfg", ".cpp", ".css", ".csv", ".gif", ".h", ".html", ".ini", ".ipynb", ".jpeg", ".jpg", ".js", ".log", ".md", ".pdf", ".png", ".py", ".pyi", ".rst", ".sh", ".svg", ".toml", ".tsv", ".txt", ".xml", ".yaml", ".yml"})  # fmt: skip
_PICKLES = frozenset({".bin", ".ckpt", ".dat", ".joblib", ".m", ".npy", ".npz", ".pickle", ".pkl", ".pt", ".pth", ".skops", ".zip"})  # fmt: skip


@dataclass(slots=True)
class Findings:
    """What was learned of the files so far."""

    files: list[tuple[int, ModelFile]] = field(default_factory=list)
    """Each with its size."""
    hugging_face: list[HuggingFaceFolder] = field(default_factory=list)
    mlflow: list[MLflowFolder] = field(default_factory=list)
    unsafe: list[UnsafeFile] = field(default_factory=list)

    def add(self, other: "Findings") -> None:
        self.files = largest(self.files + other.files)
        self.hugging_face = (self.hugging_face + other.hugging_face)[:_MOST_FOLDERS]
        self.mlflow = (self.mlflow + other.mlflow)[:_MOST_FOLDERS]
        self.unsafe = worst(self.unsafe + other.unsafe)

    def contents(self) -> Contents:
        return bounded(self.files, self.hugging_face, self.mlflow, self.unsafe)


def inspect_package(files: Sequence[FoundFile]) -> Contents:
    """What is in a package. Raises nothing for what its files hold, but what opening them raises."""
    package = Inspection(files)
    findings = Findings()
    for file in files:
        if is_worth_it(file):
            findings.add(package.look_at(file))
    return findings.contents()


def is_worth_it(file: FoundFile) -> bool:
    """Whether a file may be a model or tell of one, by its name."""
    return file.size_bytes > 0 and PurePosixPath(file.path).suffix.lower() not in _PLAIN


def unjudged(file: FoundFile, why: str) -> UnsafeFile | None:
    """What is said of a file that could not be looked at, where it may hold a pickle."""
    may_be = PurePosixPath(file.path).suffix.lower() in _PICKLES
    return UnsafeFile(path=file.path, verdict="unreadable", message=why) if may_be else None


class Inspection:
    """Looks at the files of one package, one by one."""

    def __init__(self, files: Sequence[FoundFile]) -> None:
        self._files = {file.path: file for file in files}
        self._budget = Budget(_UNPACKED_BYTES, _MEMBERS)

    def look_at(self, file: FoundFile) -> Findings:
        findings = Findings()
        with closing(Stream(file.open())) as stream:
            scan = Scan(self._budget)
            _guarded(
                lambda: scan.look(file.path, stream.again),
                lambda why: scan.report(file.path, Judgement("unreadable", (), why)),
            )
            findings.unsafe += scan.found
            _guarded(
                lambda: self._describe(file, stream.again(), scan, findings),
                lambda why: findings.files.append(
                    (file.size_bytes, ModelFile(path=file.path, format="unknown", problem=why))
                ),
            )
            _guarded(lambda: self._read_folder(file, stream.again(), findings), lambda _: None)
        return findings

    def _describe(self, file: FoundFile, stream: Stream, scan: Scan, findings: Findings) -> None:
        described = describe(file.path, stream, scan.pickles.get(file.path), self._budget)
        if described is None:
            return
        late = Scan(self._budget)
        late.report(file.path, described.judgement or _of_external(file.path, described))
        findings.unsafe += late.found
        missing = [name for name in described.external if not self._holds(file.path, name)]
        model = described.file
        if missing and not late.found:
            problem = f"its tensors are in {shortened(missing[0])!r}: expected that file in the package"
            model = model.model_copy(update={"problem": problem})
        findings.files.append((file.size_bytes, model))

    def _holds(self, path: str, external: str) -> bool:
        return posixpath.normpath(posixpath.join(posixpath.dirname(path), external)) in self._files

    def _read_folder(self, file: FoundFile, stream: Stream, findings: Findings) -> None:
        folder, name = posixpath.split(file.path)
        if name == folders.MLFLOW:
            findings.mlflow.append(folders.read_mlflow(file.path, stream))
        if name == folders.HUGGING_FACE:
            card = self._files.get(posixpath.join(folder, folders.CARD))
            found = self._hugging_face(file, stream, card)
            findings.hugging_face += [found] if found else []

    def _hugging_face(self, file: FoundFile, stream: Stream, card: FoundFile | None) -> HuggingFaceFolder | None:
        if card is None:
            return folders.read_hugging_face(file.path, stream, None)
        with closing(Stream(card.open())) as text:
            return folders.read_hugging_face(file.path, stream, text)


def _of_external(path: str, described: Described) -> Judgement | None:
    leaving = next((name for name in described.external if leaves_package(path, name)), None)
    if leaving is None:
        return None
    return Judgement("dangerous", (), f"it reads {shortened(leaving)!r}: expected external data inside the package")


def _guarded(work: Callable[[], None], failed: Callable[[str], None]) -> None:
    """Do what a hostile file may have been made to break.

    Raises:
        Unacceptable, Transient: the file could not be opened or read, whatever it holds.
    """
    try:
        work()
    except (Unacceptable, Transient):
        raise
    except Unreadable as error:
        failed(str(error))
    except MemoryError:
        failed("needs more memory than an inspection may take")
    except Exception as error:  # noqa: BLE001  # a reader that fails on a file must not fail the import
        failed(f"cannot be read ({type(error).__name__})")
