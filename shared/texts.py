"""How texts of others are said back."""

SHOWN_LENGTH = 80


def shown(text: str) -> str:
    """Short, on one line, and without control characters."""
    return repr(text if len(text) <= SHOWN_LENGTH else f"{text[:SHOWN_LENGTH]}…")
