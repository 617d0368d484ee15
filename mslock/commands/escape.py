"""Text from a database, made safe for a terminal.

Why: whoever can write a row could otherwise steer the terminal of whoever reads it.
"""

from __future__ import annotations


def printable(text: str) -> str:
    """The text, with every control character and the like as an escape."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape", "backslashreplace").decode() for char in text
    )
