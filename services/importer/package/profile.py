"""What a person may say of a version when it is imported: labels, documents, deployment types and the like."""

import math
import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from services.importer.domain import Refusal
from services.importer.package.faults import cut, shown
from services.importer.package.text import CONTROL, SPECIAL
from shared.values import Document, Profile, Reason, Specs

MOST_LABELS = 5
LONGEST_LABEL = 64
LONGEST_DESCRIPTION = 100
MOST_DOCUMENTS = 3
LONGEST_URL = 2000
REAL_TIME = "real-time"
BATCH = "batch"
DEPLOYMENT_TYPES = (REAL_TIME, BATCH)

# A description may have lines; what else controls a terminal must not stand in what is shown on one.
_BARRED = re.compile(f"[{SPECIAL}{CONTROL}]")
_LINES = str.maketrans({"\n": " ", "\t": " "})
_DOCUMENT_NAME = re.compile(r"[^\W\d_][\w-]{0,47}")


def profile_refusals(profile: Profile, allows_batch: bool) -> Iterator[Refusal]:  # noqa: FBT001  # of the mode, by name
    """Every rule that a profile breaks.

    Args:
        profile: of the request.
        allows_batch: the input/output mode lets the model be deployed as `batch`.
    """
    yield from _label_refusals(profile.labels)
    yield from _description_refusals(profile.description)
    yield from _document_refusals(profile.documents)
    yield from _deployment_refusals(profile.deployment_types, allows_batch=allows_batch)
    if profile.minimum_specs:
        yield from _specs_refusals(profile.minimum_specs)


def deployment_types(profile: Profile, allows_batch: bool) -> tuple[str, ...]:  # noqa: FBT001  # of the mode, by name
    """How the version may be deployed: what was asked for, or everything where nothing was."""
    asked = profile.deployment_types or DEPLOYMENT_TYPES
    return tuple(kind for kind in DEPLOYMENT_TYPES if kind in asked and (allows_batch or kind != BATCH))


def _label_refusals(labels: tuple[str, ...]) -> Iterator[Refusal]:
    if len(labels) > MOST_LABELS:
        yield Refusal(Reason.INVALID_LABELS, f"{len(labels)} labels: expected at most {MOST_LABELS}")
    for label in labels[:MOST_LABELS]:
        if not (label.strip() and len(label) <= LONGEST_LABEL and label.isprintable()):
            expected = f"1 to {LONGEST_LABEL} printable characters, not spaces alone"
            yield Refusal(Reason.INVALID_LABELS, f"label {shown(label)} ({len(label)} characters): expected {expected}")
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        yield Refusal(Reason.INVALID_LABELS, f"label {shown(twice)} is there twice: expected labels that differ")


def _description_refusals(description: str) -> Iterator[Refusal]:
    if len(description) > LONGEST_DESCRIPTION:
        message = f"the description has {len(description)} characters: expected at most {LONGEST_DESCRIPTION}"
        yield Refusal(Reason.INVALID_DESCRIPTION, message)
    barred = _BARRED.search(description.translate(_LINES))
    if barred:
        expected = f"none of {' '.join(SPECIAL)}, and no control characters"
        yield Refusal(Reason.INVALID_DESCRIPTION, f"the description holds {shown(barred[0])}: expected {expected}")


def _document_refusals(documents: tuple[Document, ...]) -> Iterator[Refusal]:
    if len(documents) > MOST_DOCUMENTS:
        yield Refusal(Reason.INVALID_DOCUMENTS, f"{len(documents)} documents: expected at most {MOST_DOCUMENTS}")
    for document in documents[:MOST_DOCUMENTS]:
        if not _DOCUMENT_NAME.fullmatch(document.name):
            expected = "1 to 48 letters, digits, '-' or '_', the first a letter"
            yield Refusal(Reason.INVALID_DOCUMENTS, f"name of a document {shown(document.name)}: expected {expected}")
        problem = _problem_of_url(document.url)
        if problem:
            yield Refusal(Reason.INVALID_DOCUMENTS, f"URL of a document {shown(document.url)}: {problem}")


def _problem_of_url(url: str) -> str | None:
    if len(url) > LONGEST_URL or not url.isprintable() or " " in url:
        return f"expected at most {LONGEST_URL} printable characters without a space"
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return "expected a URL"
    if parts.scheme not in {"http", "https"} or not host:
        return "expected http:// or https:// and a host"
    # It would be shown to everybody.
    return "expected no user name and no password in it" if "@" in parts.netloc else None


def _deployment_refusals(kinds: tuple[str, ...], *, allows_batch: bool) -> Iterator[Refusal]:
    unknown = [kind for kind in kinds if kind not in DEPLOYMENT_TYPES]
    if unknown:
        message = f"deployment type {shown(unknown[0])}: expected {' or '.join(DEPLOYMENT_TYPES)}"
        yield Refusal(Reason.INVALID_DEPLOYMENT_TYPES, message)
    if BATCH in kinds and not allows_batch:
        message = "deployment type 'batch': expected real-time alone, for the input/output mode is undefined"
        yield Refusal(Reason.INVALID_DEPLOYMENT_TYPES, message)


def _specs_refusals(specs: Specs) -> Iterator[Refusal]:
    for name, amount in specs:
        if amount is not None and not (math.isfinite(amount) and amount >= 0):
            message = f"minimum of {name} {cut(str(amount))}: expected a finite number, 0 or more"
            yield Refusal(Reason.INVALID_SPECS, message)
