"""Two doors, one meaning: whatever the front door's reader accepts, click reads to the same."""

from __future__ import annotations

import click
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mslock import options
from mslock.commands import cli, run_line
from mslock.commands.chooser import COMMAND, NEITHER, RUN, Choice
from mslock.options import OPTIONS
from tests.samples import steady

_FLAGS = sorted(flag for option in OPTIONS for flag in option.flags)
_values = st.sampled_from(
    ("", "x", "10s", "stop", "a b", "-", "--", "-v", "--name", "=", "a=b", "-5", "status", "\udcff", "é", "--help")
) | st.text(max_size=5)
#: Words that look like a line of mslock's, right and wrong: the reader must decline, never differ.
_words = st.one_of(
    st.sampled_from(_FLAGS),
    st.sampled_from(_FLAGS),
    st.builds("{}={}".format, st.sampled_from(_FLAGS), _values),
    st.builds("{}{}".format, st.sampled_from(("-c", "-E", "-v", "-vq", "-vc", "-qE", "-n")), _values),
    st.builds(lambda flag: flag[:-1], st.sampled_from(_FLAGS)),
    _values,
)


def _accepted(draw: st.DrawFn) -> list[str]:
    """A line that the reader takes, mostly."""
    line: list[str] = []
    for option in draw(st.lists(st.sampled_from(OPTIONS), max_size=6)):
        flag = draw(st.sampled_from(option.flags))
        if not option.takes_value:
            line.append(flag)
        elif flag.startswith("--") and draw(st.booleans()):
            line.append(f"{flag}={draw(_values)}")
        else:
            line += [flag, draw(_values)]
    if draw(st.booleans()):
        line += ["--name", draw(_values)]
    elif draw(st.booleans()):
        return [*line, "-c", draw(_values)]
    if draw(st.booleans()):
        line.append("--")
    return line + draw(st.lists(_values, max_size=4))


lines = st.composite(_accepted)() | st.lists(_words, max_size=8)


@settings(steady, max_examples=1500)
@given(lines)
def test_what_the_front_door_accepts_click_reads_to_the_same(line: list[str]) -> None:
    read = options.read(line)
    if read is not None:
        assert Choice(line).kind == RUN
        assert run_line.read(line) == read


def test_the_property_is_about_lines_that_are_accepted_and_lines_that_are_not() -> None:
    seen = {True: 0, False: 0}

    @settings(steady, max_examples=500)
    @given(lines)
    def count(line: list[str]) -> None:
        seen[options.read(line) is not None] += 1

    count()
    assert min(seen.values()) > 50


@settings(steady, max_examples=1500)
@given(lines)
def test_click_and_the_chooser_agree_on_where_the_options_end(line: list[str]) -> None:
    choice = Choice(line)
    try:
        _, words = run_line.read(line)
    except (click.ClickException, click.exceptions.Exit):
        return
    assert line[choice.place :] == words
    assert (choice.kind == RUN) == bool(choice.keys & {"name", "shell"})


@settings(steady, max_examples=300)
@given(lines)
def test_no_line_is_more_than_click_can_complain_of(line: list[str]) -> None:
    try:
        run_line.read(line)
    except (click.ClickException, click.exceptions.Exit):
        pass


@pytest.mark.parametrize(
    ("line", "kind", "place"),
    [
        (["--name", "x", "true"], RUN, 2),
        (["--name=x", "true"], RUN, 1),
        (["-c", "true"], RUN, 2),
        (["-vctrue"], RUN, 1),
        (["--shell=true", "status"], RUN, 1),
        (["--db", "u", "status"], COMMAND, 2),
        (["status", "--name", "x"], COMMAND, 0),
        (["./x", "--name", "x"], COMMAND, 0),
        (["--db", "--name", "status"], COMMAND, 2),
        (["--", "status"], NEITHER, 1),
        (["-v", "--", "--name", "x"], NEITHER, 2),
        (["--help"], NEITHER, 1),
        (["--db"], NEITHER, 2),
        (["--nmae", "x", "true"], RUN, 0),
        ([], NEITHER, 0),
    ],
)
def test_a_line_is_a_run_if_a_name_or_a_shell_line_stands_among_its_options(
    line: list[str], kind: str, place: int
) -> None:
    choice = Choice(line)
    assert (choice.kind, choice.place) == (kind, place)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.key)
def test_click_knows_each_option_of_the_table_as_the_table_says(option: options.Option) -> None:
    known = {parameter.name: parameter for parameter in run_line.run_line.params}
    parameter = known[option.key]
    assert isinstance(parameter, click.Option)
    assert set(parameter.opts) == set(option.flags)
    assert parameter.is_flag != option.takes_value


def test_a_command_is_never_called_like_a_job_by_its_options() -> None:
    assert sorted(cli.commands) == ["forget", "history", "init-db", "status"]
