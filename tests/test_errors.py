import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mnist_seq_cli import errors
from mnist_seq_cli.errors import (
    EXIT_CODES,
    CheckError,
    FormatError,
    Interrupted,
    MnistseqError,
    OutputError,
    RequestError,
    Terminated,
    one_line,
)

LEAVES = (RequestError, FormatError, OutputError, CheckError, Interrupted, Terminated)


def leaves_below(kind: type[MnistseqError]) -> set[type[MnistseqError]]:
    below = [child for child in kind.__subclasses__() if child.__module__.startswith("mnist_seq_cli")]
    return set().union(*map(leaves_below, below)) if below else {kind}


def test_the_tree_has_one_root_and_these_leaves() -> None:
    assert leaves_below(MnistseqError) == set(LEAVES)
    assert all(issubclass(leaf, MnistseqError) for leaf in LEAVES)
    assert MnistseqError.__bases__ == (Exception,)


def test_what_the_caller_got_wrong_is_a_value_error_and_what_the_machine_got_wrong_is_not() -> None:
    assert {leaf for leaf in LEAVES if issubclass(leaf, ValueError)} == {RequestError, FormatError}


def test_every_leaf_has_its_exit_code() -> None:
    assert set(EXIT_CODES) == leaves_below(MnistseqError)
    documented = zip(LEAVES, (2, 2, 1, 1, 130, 143), strict=True)
    assert dict(documented) == EXIT_CODES


def test_the_exit_codes_are_the_documented_ones() -> None:
    codes = (errors.DONE, errors.FAILED, errors.USAGE, errors.INTERRUPTED, errors.TERMINATED)
    assert codes == (0, 1, 2, 130, 143)


def test_the_module_docstring_shows_every_leaf_with_its_exit_code() -> None:
    lines = (errors.__doc__ or "").splitlines()
    for leaf, code in EXIT_CODES.items():
        assert [line for line in lines if f"── {leaf.__name__} " in line and line.endswith(f"exit {code}")]


@pytest.mark.parametrize("kind", LEAVES)
def test_str_is_the_message_and_then_the_hint(kind: type[MnistseqError]) -> None:
    assert str(kind("it is broken")) == "it is broken"
    assert str(kind("it is broken", hint="mend it")) == "it is broken; mend it"
    assert kind("it is broken").hint == ""
    assert kind("it is broken", hint="mend it").hint == "mend it"


def test_str_escapes_the_message_and_the_hint() -> None:
    assert str(RequestError("a\nb", hint="c\x1b[31md")) == r"a\nb; c\x1b[31md"


def test_user_text_with_braces_and_percent_signs_is_shown_as_it_is() -> None:
    assert str(FormatError("{0} %s {name!r}", hint="%(a)s {}")) == "{0} %s {name!r}; %(a)s {}"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain text, with × – … and é 数", "plain text, with × – … and é 数"),
        ("two\nlines\r\n", r"two\nlines\r\n"),
        ("tab\tbell\x07nul\x00", r"tab\tbell\x07nul\x00"),
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("\x85\u2028\u2029", r"\x85\u2028\u2029"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\ufeffmark", r"\ufeffmark"),
        ("\ud800", r"\ud800"),
        ("\U000e0001", r"\U000e0001"),
        ("", ""),
    ],
)
def test_one_line_escapes_what_a_terminal_would_act_on(text: str, shown: str) -> None:
    assert one_line(text) == shown


def test_one_line_cuts_long_text_at_the_limit() -> None:
    assert one_line("x" * 500) == "x" * 500
    assert one_line("x" * 501) == "x" * 499 + "…"
    assert one_line("x" * 10**6) == "x" * 499 + "…"
    assert one_line("abcdef", limit=4) == "abc…"
    assert one_line("\n" * 500) == (r"\n" * 250)[:499] + "…"


@given(text=st.text(st.characters(), max_size=60), limit=st.integers(1, 80))
def test_one_line_is_printable_and_within_the_limit_whatever_the_text(text: str, limit: int) -> None:
    shown = one_line(text, limit)
    assert shown.isprintable()
    assert len(shown) <= limit
    assert len(shown.splitlines()) <= 1
    shown.encode()  # no lone surrogates are left that a stream could not encode
    if text.isprintable() and len(text) <= limit:
        assert shown == text


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("kind", [MnistseqError, *LEAVES])
def test_pickling_keeps_kind_message_and_hint(kind: type[MnistseqError], protocol: int) -> None:
    error = kind("it is\nbroken", hint="mend it")
    for again in (pickle.loads(pickle.dumps(error, protocol)), copy.copy(error), copy.deepcopy(error)):
        assert type(again) is kind
        assert again.args == error.args
        assert again.hint == error.hint
        assert str(again) == str(error)
