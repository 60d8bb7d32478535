"""What people may say of a version, when it is imported and whenever they say it anew: labels, a description, documents."""

import re
import reprlib
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlsplit

from shared.values import Document, Notes, Reason

MOST_LABELS = 5
LONGEST_LABEL = 64
LONGEST_DESCRIPTION = 100
MOST_DOCUMENTS = 3
LONGEST_URL = 2000
# Of a text that is said again in a message, so much is shown.
SHOWN_LENGTH = 80

_SPECIAL = "&!'\"<>="
_CONTROL = "\x00-\x1f\x7f-\x9f\u2028\u2029"
# A description may have lines; what else controls a terminal must not stand in what is shown on one.
_BARRED = re.compile(f"[{_SPECIAL}{_CONTROL}]")
_LINES = str.maketrans({"\n": " ", "\t": " "})
_DOCUMENT_NAME = re.compile(r"[^\W\d_][\w-]{0,47}")
_SECRET = re.compile(r"(://)[^/@\s]+@")
_short = reprlib.Repr()
_short.maxstring = SHOWN_LENGTH - 2


class BrokenRule(NamedTuple):
    """What was wrong, and what was expected."""

    reason: Reason
    message: str


def broken_rules(notes: Notes) -> Iterator[BrokenRule]:
    """Every rule that notes break."""
    yield from _of_labels(notes.labels)
    yield from _of_description(notes.description)
    yield from _of_documents(notes.documents)


def _of_labels(labels: tuple[str, ...]) -> Iterator[BrokenRule]:
    if len(labels) > MOST_LABELS:
        yield BrokenRule(Reason.INVALID_LABELS, f"{len(labels)} labels: expected at most {MOST_LABELS}")
    for label in labels[:MOST_LABELS]:
        if not (label.strip() and len(label) <= LONGEST_LABEL and label.isprintable()):
            expected = f"1 to {LONGEST_LABEL} printable characters, not spaces alone"
            message = f"label {_shown(label)} ({len(label)} characters): expected {expected}"
            yield BrokenRule(Reason.INVALID_LABELS, message)
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        message = f"label {_shown(twice)} is there twice: expected labels that differ"
        yield BrokenRule(Reason.INVALID_LABELS, message)


def _of_description(description: str) -> Iterator[BrokenRule]:
    if len(description) > LONGEST_DESCRIPTION:
        message = f"the description has {len(description)} characters: expected at most {LONGEST_DESCRIPTION}"
        yield BrokenRule(Reason.INVALID_DESCRIPTION, message)
    barred = _BARRED.search(description.translate(_LINES))
    if barred:
        expected = f"none of {' '.join(_SPECIAL)}, and no control characters"
        message = f"the description holds {_shown(barred[0])}: expected {expected}"
        yield BrokenRule(Reason.INVALID_DESCRIPTION, message)


def _of_documents(documents: tuple[Document, ...]) -> Iterator[BrokenRule]:
    if len(documents) > MOST_DOCUMENTS:
        yield BrokenRule(Reason.INVALID_DOCUMENTS, f"{len(documents)} documents: expected at most {MOST_DOCUMENTS}")
    for document in documents[:MOST_DOCUMENTS]:
        if not _DOCUMENT_NAME.fullmatch(document.name):
            expected = "1 to 48 letters, digits, '-' or '_', the first a letter"
            message = f"name of a document {_shown(document.name)}: expected {expected}"
            yield BrokenRule(Reason.INVALID_DOCUMENTS, message)
        problem = _problem_of_url(document.url)
        if problem:
            yield BrokenRule(Reason.INVALID_DOCUMENTS, f"URL of a document {_shown(document.url)}: {problem}")


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


def _shown(text: str) -> str:
    """Short, on one line, and without the password of a URL."""
    shown = _SECRET.sub(r"\1…@", _short.repr(_SECRET.sub(r"\1…@", text)))
    return shown if len(shown) <= SHOWN_LENGTH else f"{shown[: SHOWN_LENGTH - 1]}…"
