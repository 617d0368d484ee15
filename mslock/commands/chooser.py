"""Which of the two click parsers a line is for.

Why: a click Group takes the first word that is no option for a command, so `mslock --name x -- ./job` would look for a
command `./job`; and one parser for both would take a job called `status` for ours. So the line is looked through once,
over the option table, as click would read it, and no further than the first word that is no option.
"""

from __future__ import annotations

from collections.abc import Sequence

from mslock.options import BY_FLAG

#: A line with `--name` or `-c` among its options.
RUN = "run"
#: A line with a word of its own, which must be a command.
COMMAND = "command"
#: Options and nothing else, or a job without a lock behind `--`.
NEITHER = "neither"

#: What both parsers know beside the table.
HELP = "help"
_HELP_FLAGS = ("--help", "--version")
_DECISIVE = frozenset(("name", "shell"))


class Choice:
    """What a line is.

    Attributes:
        kind: RUN, COMMAND or NEITHER. An option that nobody knows makes it RUN, whose parser knows most options and
            can say which one was meant.
        place: where the first word stands that is no option; beyond the end, where an option lacks its value.
        keys: the settings that the options before it speak of, and HELP.
        job: whether a `--` says that a job follows.
    """

    __slots__ = ("job", "keys", "kind", "place")

    def __init__(self, argv: Sequence[str]) -> None:
        self.kind, self.place, self.job = NEITHER, 0, False
        self.keys: set[str] = set()
        while self.place < len(argv):
            word = argv[self.place]
            if word == "--":
                self.place += 1
                self.job = True
                break
            if word[:1] != "-" or word == "-":
                self.kind = COMMAND
                break
            keys, takes_next = _read(word)
            if not keys:
                self.kind = RUN
                return
            self.keys |= keys
            self.place += 1 + takes_next
        if not self.keys.isdisjoint(_DECISIVE):
            self.kind = RUN


def _read(word: str) -> tuple[set[str], bool]:
    """The settings that one word of options speaks of, none if it has an unknown one; and whether it takes the next."""
    flag, equals, _ = word.partition("=")
    if flag in _HELP_FLAGS:
        return {HELP}, False
    if flag[:2] == "--":
        option = BY_FLAG.get(flag)
        return (set(), False) if option is None else ({option.key}, option.takes_value and not equals)
    keys: set[str] = set()
    for end, char in enumerate(word[1:], 2):  # several of one letter, the last of which may take a value: -vcLINE
        letter = BY_FLAG.get("-" + char)
        if letter is None:
            return set(), False
        keys.add(letter.key)
        if letter.takes_value:
            return keys, end == len(word)
    return keys, False
