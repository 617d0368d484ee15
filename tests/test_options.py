"""The table and the strict reader: what it accepts it reads right, and what is odd it leaves to click."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from mslock import options
from mslock.errors import ExitCode
from mslock.options import BY_FLAG, OPTIONS, duration_ms, read
from tests.samples import steady

TAKES_VALUE = [flag for flag, option in BY_FLAG.items() if option.takes_value]
LONG = [flag for flag in TAKES_VALUE if flag.startswith("--")]
FLAGS = [flag for flag, option in BY_FLAG.items() if not option.takes_value]

#: Words as a command line has them, the odd ones often.
words = st.one_of(
    st.sampled_from([*BY_FLAG, "--", "-", "", "=", "--=", "--name=", "--nam", "-cx", "-E5", "-vq", "--help", "x"]),
    st.builds("{}={}".format, st.sampled_from(sorted(BY_FLAG)), st.text(max_size=5)),
    st.text(max_size=8),
)
values = st.text(max_size=8).filter(lambda text: not text.startswith("-"))


# the table


def test_every_option_has_one_long_flag_first_and_a_key_and_variable_from_it() -> None:
    for option in OPTIONS:
        assert option.flags[0].startswith("--")
        assert all(len(flag) == 2 for flag in option.flags[1:])
        assert option.key == option.flags[0][2:].replace("-", "_")
        assert option.variable in ("", "MSLOCK_" + option.key.upper())
        assert option.help.endswith(".")
        assert option.metavar or not option.takes_value


def test_no_flag_key_or_variable_stands_twice() -> None:
    assert len(BY_FLAG) == sum(len(option.flags) for option in OPTIONS)
    assert len({option.key for option in OPTIONS}) == len(OPTIONS)


def test_no_variable_is_one_that_a_job_is_told() -> None:
    assert not [option for option in OPTIONS if option.variable.startswith("MSLOCK_RUN_")]


def test_the_flags_and_defaults_are_the_documented_ones() -> None:
    assert {option.flags: option.default for option in OPTIONS} == {
        ("--name",): "",
        ("--shell", "-c"): "",
        ("--db",): "",
        ("--cooldown",): "10s",
        ("--min-interval",): "0",
        ("--wait",): "0",
        ("--timeout",): "0",
        ("--kill-after",): "10s",
        ("--lease",): "5m",
        ("--on-lost",): "stop",
        ("--on-orphan",): "wait",
        ("--on-db-error",): "fail",
        ("--db-timeout",): "10s",
        ("--skip-exit-code", "-E"): str(ExitCode.SKIPPED),
        ("--splay",): "0",
        ("--verbose", "-v"): "",
        ("--quiet", "-q"): "",
    }
    on_the_line_only = {option.key for option in OPTIONS if not option.variable}
    assert on_the_line_only == {"name", "shell", "verbose", "quiet"}


def test_every_default_is_a_value_that_the_option_takes() -> None:
    for option in OPTIONS:
        if option.kind == "duration":
            assert duration_ms(option.default) is not None
        if option.kind == "choice":
            assert option.default in option.choices


# durations


@pytest.mark.parametrize(
    ("text", "ms"),
    [
        ("0", 0),
        ("90", 90_000),
        ("90s", 90_000),
        ("5m", 300_000),
        ("1h30m", 5_400_000),
        ("2d", 172_800_000),
        ("1d1h1m1s", 90_061_000),
        ("0s", 0),
        ("007", 7_000),
        ("3650d", 3650 * 86_400_000),
        ("315360000", 3650 * 86_400_000),
    ],
)
def test_durations_that_can_be_read(text: str, ms: int) -> None:
    assert duration_ms(text) == ms


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "s", "-1", "+1", "1.5", "1.5h", "1e3", "1 h", " 1", "1 ", "1\n", "1ms", "1w", "1H", "h1", "1h30"),
        *("30m1h", "1h1h", "1s1m", "s1", "1hh", "٣", "٣s", "²", "1_0", "0x1", "∞", "nan", "1h-5m"),
        *("3651d", "315360001", "9" * 400, "9" * 400 + "s", "9" * 5000, "9" * 5000 + "s", "9" * 11 + "d"),
    ],
)
def test_what_is_no_duration_is_none(text: str) -> None:
    assert duration_ms(text) is None


@steady
@given(st.text(), st.text("0123456789dhms", max_size=12))
def test_no_text_crashes_the_reading_of_a_duration(text: str, likely: str) -> None:
    for each in (text, likely):
        ms = duration_ms(each)
        assert ms is None or (ms % 1000 == 0 and 0 <= ms <= 3650 * 86_400_000)


@steady
@given(st.integers(0, 3650 * 86_400), st.sampled_from(("", "s", "dhms", "hms", "ms")), st.booleans())
def test_a_duration_written_by_hand_is_read_to_the_same(seconds: int, units: str, zeros: bool) -> None:
    text, left = "", seconds
    for unit in units if len(units) > 1 else "":
        size = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}[unit]
        count, left = divmod(left, size)
        if count or zeros or (unit == "s" and not text):
            text += f"{count}{unit}"
    assert duration_ms(text or f"{seconds}{units if len(units) == 1 else ''}") == seconds * 1000


# the reader


@pytest.mark.parametrize(
    ("argv", "given_", "command"),
    [
        (["--name", "x", "--", "a", "-v"], {"name": "x"}, ["a", "-v"]),
        (["--name", "x", "a", "--name", "y"], {"name": "x"}, ["a", "--name", "y"]),
        (["--name=x", "a"], {"name": "x"}, ["a"]),
        (["--name=x=y", "a"], {"name": "x=y"}, ["a"]),
        (["--name=", "a"], {"name": ""}, ["a"]),
        (["--name=-x", "a"], {"name": "-x"}, ["a"]),
        (["--name", "x", "--name", "y", "a"], {"name": "y"}, ["a"]),
        (["-c", "a b"], {"shell": "a b"}, []),
        (["-c", "a b", "--"], {"shell": "a b"}, []),
        (["--shell=a b"], {"shell": "a b"}, []),
        (["-c", "a", "--name", "x"], {"shell": "a", "name": "x"}, []),
        (["-v", "-q", "-E", "3", "-c", "a"], {"verbose": "1", "quiet": "1", "skip_exit_code": "3", "shell": "a"}, []),
        (["--name", "x", "--cooldown", "junk", "a"], {"name": "x", "cooldown": "junk"}, ["a"]),
        (["--name", "x", "--", "--", "a"], {"name": "x"}, ["--", "a"]),
        (["--name", "x", "--", "-a"], {"name": "x"}, ["-a"]),
        (["--name", "x", "init-db"], {"name": "x"}, ["init-db"]),
    ],
)
def test_run_lines_are_read(argv: list[str], given_: dict[str, str], command: list[str]) -> None:
    assert read(argv) == (given_, command)


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["--"],
        ["-"],
        ["--help"],
        ["-h"],
        ["--version"],
        ["status"],
        ["--db", "x", "status"],
        ["a", "--name", "x"],
        ["--", "a", "--name", "x"],
        ["--name", "x"],
        ["--name", "x", "--"],
        ["--name"],
        ["--name", "-x", "a"],
        ["--name", "--", "a"],
        ["--name", "--cooldown", "3", "a"],
        ["--nam", "x", "a"],
        ["--Name", "x", "a"],
        ["-c"],
        ["-c", "a", "b"],
        ["-c", "a", "--", "b"],
        ["-ca"],
        ["-c=a"],
        ["-E3", "-c", "a"],
        ["-vq", "-c", "a"],
        ["-v=1", "-c", "a"],
        ["--verbose=1", "-c", "a"],
        ["--verbose=", "-c", "a"],
        ["--name", "x", "--unknown", "a"],
        ["--name", "x", "--help", "a"],
        ["--=", "--name", "x", "a"],
        ["=", "--name", "x"],
    ],
)
def test_whatever_is_odd_is_declined(argv: list[str]) -> None:
    assert read(argv) is None


@steady
@given(st.lists(words, max_size=10))
@example(["\udcff", "--name"])
def test_no_list_of_words_makes_the_reader_raise_and_what_it_accepts_can_be_run(argv: list[str]) -> None:
    before = list(argv)
    result = read(argv)
    assert argv == before
    if result is None:
        return
    given_, command = result
    assert set(given_) <= {option.key for option in OPTIONS}
    assert ("shell" in given_) != bool(command)
    assert "shell" in given_ or "name" in given_
    assert argv[len(argv) - len(command) :] == command


@steady
@given(
    st.lists(st.tuples(st.sampled_from(TAKES_VALUE), values) | st.sampled_from(FLAGS), max_size=6),
    st.text(string.ascii_letters, min_size=1),
    st.lists(st.text(max_size=8), min_size=1, max_size=4),
)
def test_separate_and_joined_values_are_read_to_the_same(
    spoken: list[tuple[str, str] | str], name: str, command: list[str]
) -> None:
    apart, joined = ["--name", name], [f"--name={name}"]
    expected = {"name": name}
    for each in spoken:
        if isinstance(each, str):
            apart.append(each)
            joined.append(each)
            expected[BY_FLAG[each].key] = "1"
            continue
        flag, value = each
        assume(BY_FLAG[flag].key != "shell")
        apart += [flag, value]
        joined += [f"{flag}={value}"] if flag in LONG else [flag, value]
        expected[BY_FLAG[flag].key] = value
    assert read([*apart, "--", *command]) == read([*joined, "--", *command]) == (expected, command)


@steady
@given(st.lists(words, max_size=6), st.text(max_size=8))
def test_what_stands_behind_the_command_is_never_read(behind: list[str], word: str) -> None:
    assume(not word.startswith("-"))
    assert read(["--name", "x", word, *behind]) == ({"name": "x"}, [word, *behind])


def test_the_longest_duration_is_ten_years() -> None:
    assert options._LONGEST_S == 3650 * 86_400
