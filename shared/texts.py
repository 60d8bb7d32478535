"""How texts of others are said back."""

import re

SHOWN_LENGTH = 80
_LOGIN = re.compile(r"(?:(?<=://)|^(?!\w+://)).*@")


def shown(text: str) -> str:
    """Short, on one line, and without control characters."""
    return repr(text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…")


def without_login(urls: str) -> str:
    """One URL, or several with commas between them, without user names and passwords."""
    return ",".join(_LOGIN.sub("", url) for url in urls.split(","))
