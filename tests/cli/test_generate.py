"""The command `generate`: what it writes, what it prints on which stream, and how it refuses."""

import io
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from mnist_seq_cli import SequenceDataset
from mnist_seq_cli.cli.main import run
from mnist_seq_cli.mnist import idx
from mnist_seq_cli.mnist.bank import Source, load

PROGRAM = (sys.executable, "-m", "mnist_seq_cli")
ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="it is about a file that Linux has")


class Done(NamedTuple):
    """How a run ended: its exit code, and what it wrote to each stream."""

    code: int
    out: bytes
    err: str


Generate = Callable[..., Done]


@pytest.fixture
def generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> Generate:
    """The command, run in this process, in a directory of its own: `generate("1-2-3", "--seed", "5")`."""
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capfdbinary.readouterr()
        code = run(["generate", *arguments])
        out, err = capfdbinary.readouterr()
        return Done(code, out, err.decode())

    return call


def started(*arguments: str, shell_end: str = "", **options: Any) -> "subprocess.CompletedProcess[bytes]":
    """Run the program as a process of its own, through a shell, with redirections at the end of its line."""
    line = ["sh", "-c", f'"$@" {shell_end}', "sh", *PROGRAM, "generate", *arguments]
    return subprocess.run(line, **{"capture_output": True, "check": False, "timeout": 60, **options})


def image_in(file: Path | io.BytesIO) -> NDArray[np.uint8]:
    """The pixels of a PNG file as Pillow reads them; it has to be plain grey."""
    with Image.open(file) as opened:
        assert (opened.format, opened.mode) == ("PNG", "L")
        return np.array(opened)


def names_in(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*"))


def seed_shown(err: str) -> int:
    """The seed in the one line that is shown when it was drawn."""
    match = re.fullmatch(r"seed (\d+): --seed (\d+) makes the same images again\n", err)
    assert match is not None
    assert match[1] == match[2]
    return int(match[1])


def digits_on(image: NDArray[np.uint8], lefts: Sequence[int], source: str = "train") -> list[int]:
    """The digits of the glyphs that stand with their left edges there; dark ink on white paper everywhere."""
    bank = load(Source(source))
    glyphs = bank.images(np.arange(len(bank)) + bank.first_id)
    found = []
    paper = np.ones(image.shape, dtype=bool)
    for left in lefts:
        places = np.flatnonzero((glyphs == 255 - image[:, left : left + 28]).all(axis=(1, 2)))
        found.append(int(bank.labels[places[0]]))
        paper[:, left : left + 28] = False
    assert (image[paper] == 255).all()
    return found


def own_files(directory: Path, labels: Sequence[int] = tuple(range(10))) -> tuple[str, str, NDArray[np.uint8]]:
    """An IDX pair of glyphs 7 px high and 5 px wide, one for each label, and the glyphs."""
    directory.mkdir(parents=True, exist_ok=True)
    glyphs = np.random.default_rng(1).integers(1, 255, (len(labels), 7, 5), dtype=np.uint8)
    (directory / "images").write_bytes(idx.encode(glyphs))
    (directory / "labels").write_bytes(idx.encode(np.array(labels, dtype=np.uint8)))
    return str(directory / "images"), str(directory / "labels"), glyphs


def assert_refused(done: Done, message: str = "", code: int = 2) -> None:
    """One line on stderr that says what is wrong, nothing on stdout, and this exit code."""
    assert done.out == b""
    assert done.err.startswith("mnistseq: ")
    assert done.err.endswith("\n")
    assert done.err[:-1].isprintable(), done.err
    assert message in done.err
    assert done.code == code


# The contract


def test_the_line_of_the_contract(generate: Generate, tmp_path: Path) -> None:
    done = generate(*shlex.split("1-2-3 --min 0 --max 10 --width 100"))
    assert done.code == 0
    assert done.out == b"1-2-3.png\n"
    seed_shown(done.err)
    assert names_in(tmp_path) == ["1-2-3.png"]
    image = image_in(tmp_path / "1-2-3.png")
    assert image.shape == (28, 100)
    assert digits_on(image, (0, 36, 72)) == [1, 2, 3]
    assert (image[:, 28:36] == 255).all()
    assert (image[:, 64:72] == 255).all()
    assert image.mean() > 128
    assert image.min() < 20


@pytest.mark.parametrize("sequence", ["1-2-3", "123", "1,2,3", "1 2 3"])
def test_all_four_spellings_make_the_same_file(sequence: str, generate: Generate, tmp_path: Path) -> None:
    assert generate(sequence, "--seed", "5") == (0, b"1-2-3.png\n", "")
    expected = SequenceDataset(sequences=["1-2-3"], seed=5)[0].image
    np.testing.assert_array_equal(image_in(tmp_path / "1-2-3.png"), expected, strict=True)


def test_strip_number_i_is_sample_i_of_its_recipe(generate: Generate, tmp_path: Path) -> None:
    done = generate("12", "345", "12", "--seed", "9", "--max", "7")
    assert done == (0, b"1-2_0.png\n3-4-5.png\n1-2_1.png\n", "")
    for number, (name, sequence) in enumerate([("1-2_0", "12"), ("3-4-5", "345"), ("1-2_1", "12")]):
        expected = SequenceDataset(sequences=[sequence], seed=9, max_gap=7, samples=number + 1)[number].image
        np.testing.assert_array_equal(image_in(tmp_path / f"{name}.png"), expected, strict=True)


def test_the_bytes_come_again_with_the_seed_that_was_shown(generate: Generate, tmp_path: Path) -> None:
    seed = seed_shown(generate("2025", "--max", "6", "-o", "one.png").err)
    assert generate("2025", "--max", "6", "-o", "two.png", "--seed", str(seed)).err == ""
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()


def test_without_a_seed_every_run_draws_its_own(generate: Generate, tmp_path: Path) -> None:
    seeds = {seed_shown(generate("8" * 8, "-o", f"{number}.png").err) for number in range(3)}
    assert len(seeds) == 3
    assert len({(tmp_path / f"{number}.png").read_bytes() for number in range(3)}) == 3


def test_without_a_width_gaps_are_drawn_and_the_canvas_holds_the_widest(generate: Generate, tmp_path: Path) -> None:
    generate("1-2-3", "--min", "2", "--max", "9", "--seed", "4", "--count", "20")
    gaps = set()
    for number in range(20):
        sample = SequenceDataset(sequences=["123"], seed=4, samples=number + 1, min_gap=2, max_gap=9)[number]
        image = image_in(tmp_path / f"1-2-3_{number}.png")
        assert image.shape == (28, 3 * 28 + 2 * 9)
        np.testing.assert_array_equal(image, sample.image, strict=True)
        gaps |= set((np.diff(sample.x) - 28).tolist())
    assert min(gaps) == 2
    assert max(gaps) == 9


def test_with_a_width_sequences_of_any_length_fill_it(generate: Generate, tmp_path: Path) -> None:
    assert generate("12", "123", "--width", "100", "--seed", "1").code == 0
    assert digits_on(image_in(tmp_path / "1-2.png"), (0, 72)) == [1, 2]
    assert digits_on(image_in(tmp_path / "1-2-3.png"), (0, 36, 72)) == [1, 2, 3]


def test_invert_gives_white_ink_on_black_paper(generate: Generate, tmp_path: Path) -> None:
    layout = ("1-2-3", "--width", "100", "--seed", "5")
    generate(*layout, "-o", "plain.png")
    generate(*layout, "-o", "inverted.png", "--invert")
    plain, inverted = image_in(tmp_path / "plain.png"), image_in(tmp_path / "inverted.png")
    np.testing.assert_array_equal(inverted, 255 - plain, strict=True)
    assert (inverted[:, 28:36] == 0).all()


def test_a_single_digit_is_its_glyph(generate: Generate, tmp_path: Path) -> None:
    assert generate("7", "--seed", "1").out == b"7.png\n"
    assert digits_on(image_in(tmp_path / "7.png"), (0,)) == [7]


@pytest.mark.parametrize("source", ["train", "test", "all"])
def test_glyphs_come_from_the_source(source: str, generate: Generate, tmp_path: Path) -> None:
    assert generate("0123456789", "--source", source, "--seed", "2", "-o", "x.png") == (0, b"x.png\n", "")
    assert digits_on(image_in(tmp_path / "x.png"), range(0, 280, 28), source) == list(range(10))


def test_glyphs_of_the_users_own(generate: Generate, tmp_path: Path) -> None:
    images, labels, glyphs = own_files(tmp_path / "mine")
    done = generate("3-1", "--source", images, "--source-labels", labels, "--width", "12", "--seed", "1")
    assert done == (0, b"3-1.png\n", "")
    expected = np.full((7, 12), 255, dtype=np.uint8)
    expected[:, :5], expected[:, 7:] = 255 - glyphs[3], 255 - glyphs[1]
    np.testing.assert_array_equal(image_in(tmp_path / "3-1.png"), expected, strict=True)


# Which glyphs


def test_glyphs_come_once_in_a_whole_run(generate: Generate, tmp_path: Path) -> None:
    images, labels, glyphs = own_files(tmp_path / "mine", labels=[digit for digit in range(10) for _ in range(4)])
    own = ("--source", images, "--source-labels", labels, "--glyphs", "once", "--seed", "5")
    assert generate("121", "-", "--count", "2", "-o", "out", *own, stdin=b"212\n").code == 0
    names = [f"{name}_{number}" for name in ("1-2-1", "2-1-2") for number in range(2)]
    strips = [255 - image_in(tmp_path / "out" / f"{name}.png") for name in names]
    shown = [cell.tobytes() for strip in strips for cell in np.hsplit(strip, 3)]
    written = [int(digit) for name in names for digit in name.split("_")[0].split("-")]
    known = {glyph.tobytes(): place // 4 for place, glyph in enumerate(glyphs)}
    assert [known[cell] for cell in shown] == written
    for digit in (1, 2):
        came = [cell for cell, found in zip(shown, written, strict=True) if found == digit]
        assert len(came) == 6
        assert len(set(came[:4])) == 4  # all there are, before any comes again


def test_a_run_with_glyphs_once_is_one_recipe(generate: Generate, tmp_path: Path) -> None:
    wanted = [f"{number:02}" for number in range(100)]
    done = generate("-", "--glyphs", "once", "--seed", "5", "--max", "4", stdin="\n".join(wanted).encode())
    assert done.code == 0
    batch = SequenceDataset(sequences=wanted, glyphs="once", seed=5, max_gap=4).batch(0, 100)
    assert len(set(batch.glyphs.ravel().tolist())) == 200
    for text, image in zip(wanted, batch.images, strict=True):
        np.testing.assert_array_equal(image_in(tmp_path / f"{'-'.join(text)}.png"), image, strict=True)


def test_a_single_strip_with_glyphs_once_repeats_none(generate: Generate, tmp_path: Path) -> None:
    images, labels, glyphs = own_files(tmp_path / "mine", labels=[3] * 12)
    own = ("--source", images, "--source-labels", labels, "--glyphs", "once")
    assert generate("3" * 12, "-o", "x.png", *own).code == 0
    cells = np.hsplit(255 - image_in(tmp_path / "x.png"), 12)
    assert {cell.tobytes() for cell in cells} == {glyph.tobytes() for glyph in glyphs}


def test_known_wrong_labels_are_left_out(generate: Generate, tmp_path: Path) -> None:
    options = ("--source", "test", "--exclude-mislabeled", "--seed", "5")
    assert generate("4-2", *options, "--count", "40", "-o", "out").code == 0
    batch = SequenceDataset(sequences=["42"], source="test", exclude_mislabeled=True, seed=5, samples=40).batch(0, 40)
    plain = SequenceDataset(sequences=["42"], source="test", seed=5, samples=40).batch(0, 40)
    assert (batch.glyphs != plain.glyphs).any()
    for number, image in enumerate(batch.images):
        np.testing.assert_array_equal(image_in(tmp_path / "out" / f"4-2_{number}.png"), image, strict=True)


# Where files go, and what they are called


def test_output_may_be_a_file(generate: Generate, tmp_path: Path) -> None:
    assert generate("1-2-3", "-o", "year.PNG", "--seed", "5") == (0, b"year.PNG\n", "")
    assert names_in(tmp_path) == ["year.PNG"]


def test_directories_above_a_file_are_made(generate: Generate, tmp_path: Path) -> None:
    assert generate("1-2-3", "-o", "a/b/c.png", "--seed", "5") == (0, b"a/b/c.png\n", "")
    assert names_in(tmp_path) == ["a", "a/b", "a/b/c.png"]


@pytest.mark.parametrize("output", ["there", "there/", "there/.", "missing", "missing/", "missing/a/b", "missing/a/b/"])
def test_output_may_be_a_directory_there_or_not(output: str, generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    path = f"{output.rstrip('/.')}/1-2-3.png"
    assert generate("1-2-3", "-o", output, "--seed", "5") == (0, f"{path}\n".encode(), "")
    assert (tmp_path / path).is_file()


def test_a_trailing_slash_means_a_directory_whatever_its_name(generate: Generate, tmp_path: Path) -> None:
    assert generate("1-2-3", "-o", "x.png/", "--seed", "5") == (0, b"x.png/1-2-3.png\n", "")
    assert generate("4", "-o", "x.png", "--seed", "5") == (0, b"x.png/4.png\n", "")
    assert names_in(tmp_path) == ["x.png", "x.png/1-2-3.png", "x.png/4.png"]


def test_a_trailing_slash_never_replaces_a_file(generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "x.png").write_text("mine")
    assert_refused(generate("1-2-3", "-o", "x.png/", "--seed", "5"), "x.png", code=1)
    assert (tmp_path / "x.png").read_text() == "mine"


def test_an_absolute_path_is_printed_as_it_was_given(generate: Generate, tmp_path: Path) -> None:
    path = tmp_path / "two words, né.png"
    assert generate("1-2-3", "-o", str(path), "--seed", "5") == (0, f"{path}\n".encode(), "")


def test_count_numbers_the_images(generate: Generate, tmp_path: Path) -> None:
    done = generate("1-2-3", "4", "--count", "3", "-o", "d", "--seed", "5")
    names = [f"d/{name}_{number}.png" for name in ("1-2-3", "4") for number in range(3)]
    assert done == (0, "".join(f"{name}\n" for name in names).encode(), "")
    assert names_in(tmp_path / "d") == sorted(name.removeprefix("d/") for name in names)
    assert len({path.read_bytes() for path in (tmp_path / "d").glob("1-2-3_*")}) == 3


def test_a_count_of_one_numbers_nothing(generate: Generate, tmp_path: Path) -> None:
    assert generate("1-2-3", "--count", "1", "--seed", "5").out == b"1-2-3.png\n"
    assert names_in(tmp_path) == ["1-2-3.png"]


def test_a_long_sequence_needs_a_name(generate: Generate, tmp_path: Path) -> None:
    digits = "1234567890" * 30
    assert_refused(generate(digits, "--seed", "5"), "too many for a file; name the file with -o FILE.png")
    assert names_in(tmp_path) == []
    assert generate(digits, "--seed", "5", "-o", "long.png") == (0, b"long.png\n", "")
    assert image_in(tmp_path / "long.png").shape == (28, 300 * 28)


def test_the_longest_name_that_fits_is_written(generate: Generate, tmp_path: Path) -> None:
    digits = "5" * 100
    name = f"{'-'.join(digits)}.png"
    assert generate(digits, "--seed", "5") == (0, f"{name}\n".encode(), "")
    assert names_in(tmp_path) == [name]


def test_output_to_a_pipe_is_the_bytes_of_the_file(generate: Generate, tmp_path: Path) -> None:
    done = generate("1-2-3", "-o", "-", "--seed", "5")
    assert done.code == 0
    assert done.err == ""
    assert names_in(tmp_path) == []
    generate("1-2-3", "--seed", "5")
    assert done.out == (tmp_path / "1-2-3.png").read_bytes()


def test_the_seed_is_shown_beside_bytes_in_a_pipe(generate: Generate) -> None:
    done = generate("1-2-3", "-o", "-")
    seed = seed_shown(done.err)
    expected = SequenceDataset(sequences=["123"], seed=seed)[0].image
    np.testing.assert_array_equal(image_in(io.BytesIO(done.out)), expected, strict=True)


# Sequences from stdin


def test_sequences_are_read_from_stdin(generate: Generate, tmp_path: Path) -> None:
    done = generate("-", "-o", "pairs/", "--seed", "3", stdin=b"".join(b"%02d\n" % n for n in range(100)))
    names = [f"pairs/{n // 10}-{n % 10}.png" for n in range(100)]
    assert done == (0, "".join(f"{name}\n" for name in names).encode(), "")
    assert names_in(tmp_path / "pairs") == [name.removeprefix("pairs/") for name in names]


@pytest.mark.parametrize(
    "stdin",
    [
        b"1-2\n3 4\n12\n",
        b"1-2\r\n3 4\r\n12\r\n",
        b"\xef\xbb\xbf1-2\n3 4\n12",
        b"\n\n1-2\n   \n3,4\n\t\n1 2\n\n",
        b"  1-2  \n\t3-4\n12 \r\n",
    ],
    ids=["plain", "CRLF", "byte order mark", "blank lines", "white space"],
)
def test_what_editors_do_to_text_is_forgiven(stdin: bytes, generate: Generate, tmp_path: Path) -> None:
    done = generate("-", "--seed", "3", stdin=stdin)
    assert done == (0, b"1-2_0.png\n3-4.png\n1-2_1.png\n", "")
    assert names_in(tmp_path) == ["1-2_0.png", "1-2_1.png", "3-4.png"]


def test_sequences_on_stdin_and_on_the_command_line_are_one_run(generate: Generate) -> None:
    assert generate("12", "-", "3", "--seed", "3", stdin=b"12\n4\n").out == b"1-2_0.png\n1-2_1.png\n4.png\n3.png\n"


@pytest.mark.parametrize(
    ("stdin", "message"),
    [
        (b"12\n\n1x\n", "line 3: '1x' is not a sequence of digits"),
        (b"12\r\n../x\r\n", "line 2: '../x' is not a sequence of digits"),
        (b"1\x002\n", r"line 1: '1\x002' is not a sequence of digits"),
        (b"12\n\xef\xbb\xbf34\n", r"line 2: '\ufeff34' is not a sequence of digits"),
        (b"12\n" + b"1" * 4000, "line 2: a sequence of 4000 characters is too long"),
        (b"12\n\xff\n", "stdin is not text"),
        (b"\x89PNG\r\n\x1a\n", "stdin is not text"),
        (b"", "there are no sequences to write"),
        (b"\n \n", "there are no sequences to write"),
    ],
)
def test_a_bad_line_is_named_and_nothing_is_written(
    stdin: bytes, message: str, generate: Generate, tmp_path: Path
) -> None:
    assert_refused(generate("-", "-o", "out/", "--seed", "3", stdin=stdin), message)
    assert names_in(tmp_path) == []


def test_stdin_of_a_real_pipe(tmp_path: Path) -> None:
    done = started("-", "--seed", "3", cwd=tmp_path, input=b"12\r\n34\r\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, b"1-2.png\n3-4.png\n", b"")
    assert names_in(tmp_path) == ["1-2.png", "3-4.png"]


# Refusals


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Missing argument 'SEQUENCE...'; see mnistseq generate --help"),
        ([""], "'' is not a sequence of digits; write it like 1-2-3, 123, 1,2,3 or '1 2 3'"),
        (["abc"], "'abc' is not a sequence of digits"),
        (["12", "3x"], "'3x' is not a sequence of digits"),
        (["../x"], "'../x' is not a sequence of digits"),
        (["/abs"], "'/abs' is not a sequence of digits"),
        (["CON"], "'CON' is not a sequence of digits"),
        (["1/2"], "'1/2' is not a sequence of digits"),
        (["1\x002"], r"'1\x002' is not a sequence of digits"),
        (["1\n2"], r"'1\n2' is not a sequence of digits"),
        (["\x1b[31m"], r"'\x1b[31m' is not a sequence of digits"),
        (["\udcff"], r"'\udcff' is not a sequence of digits"),
        (["１２"], "'１２' is not a sequence of digits"),
        (["-1-2"], "No such option"),
        (["--", "-1-2"], "'-1-2' is not a sequence of digits"),
        (["1" * 1001], "a sequence of 1001 digits is too long"),
        (["1" * 10**6], "a sequence of 1000000 characters is too long"),
        (["12", "--seed", "-1"], "--seed is -1; it has to be 0 to 18446744073709551615"),
        (["12", "--seed", "18446744073709551616"], "--seed is 18446744073709551616"),
        (["12", "--seed", "x"], "'x' is not a valid integer"),
        (["12", "--seed", "9" * 5000], "Invalid value for '--seed'"),
        (["12", "--count", "0"], "--count is 0; ask for 1 or more"),
        (["12", "--count", "-3"], "--count is -3"),
        (["12", "--min", "5", "--max", "4"], "--max 4 is below --min 5"),
        (["12", "--min", "-29"], "--min is -29"),
        (["12", "--width", "0"], "--width is 0"),
        (["12", "--width", "50"], "the gap would be -6 px"),
        (["12", "--max", "100000"], "100000 px at most"),
        (["123", "--width", "99"], "nearest: --width 98 (gap 7) or --width 100 (gap 8)"),
        (["123", "--width", "100", "--max", "5"], "nearest: --width 94 (gap 5)"),
        (["1", "--width", "30"], "one digit is 28 px wide, and --width is 30"),
        (["12", "--spacing", "wide"], "'wide' is not one of"),
        (["12", "--spacing", "a\nb"], r"'a\nb' is not one of"),
        (["12", "--no\nsuch"], "No such option"),
        (
            ["12", "345", "6", "--glyphs", "once"],
            "--glyphs once counts through strips of one length, and these have 1 to 3 digits; "
            "mnistseq dataset --labels takes sequences of any lengths",
        ),
        (["12", "--glyphs", "twice"], "'twice' is not one of"),
        (["12", "--source", "fonts"], "no bundled source is called 'fonts'; take train, test, all"),
        (["12", "34", "-o", "one.png"], "2 strips do not go into one file, one.png; give a directory with -o"),
        (["12", "--count", "2", "-o", "-"], "2 images do not go to stdout, only one does"),
        (["12", "34", "--width", "60", "-o", "-"], "2 images do not go to stdout, only one does"),
    ],
    ids=lambda value: ascii(" ".join(value))[:60] if isinstance(value, list) else "",
)
def test_what_cannot_be_is_refused_in_one_line_before_anything_is_written(
    arguments: list[str], message: str, generate: Generate, tmp_path: Path
) -> None:
    assert_refused(generate(*arguments), message)
    assert names_in(tmp_path) == []


def test_a_refusal_leaves_no_directory_behind(generate: Generate, tmp_path: Path) -> None:
    assert_refused(generate("1" * 200, "-o", "here/"), "name the file with -o FILE.png")
    assert_refused(generate("1" * 200, "-o", "here.png/"), "name the file with -o FILE.png")
    assert names_in(tmp_path) == []


def test_digits_that_the_users_own_glyphs_lack_are_named(generate: Generate, tmp_path: Path) -> None:
    images, labels, _ = own_files(tmp_path / "mine", labels=(1, 2))
    own = ("--source", images, "--source-labels", labels, "-o", "out")
    assert_refused(generate("12", "1-3", *own), "the source has no glyph of 3; it has glyphs of 1, 2")
    assert not (tmp_path / "out").exists()


def test_files_of_the_users_own_that_are_not_what_they_should_be(generate: Generate, tmp_path: Path) -> None:
    images, labels, _ = own_files(tmp_path / "mine")
    (tmp_path / "mine" / "text").write_text("hello")
    text = str(tmp_path / "mine" / "text")
    given = ("12", "-o", "out", "--source")
    assert_refused(generate(*given, images, "--source-labels", text), "text is not an IDX file")
    assert_refused(generate(*given, labels, "--source-labels", images), "give them the other way round")
    assert_refused(generate(*given, images), "there are no labels beside ")
    assert_refused(generate(*given, images, "--source-labels", f"{text}s"), "texts: No such file", code=1)
    assert not (tmp_path / "out").exists()


# When the file system says no


def test_an_older_file_is_replaced_in_one_step(generate: Generate, tmp_path: Path) -> None:
    path = tmp_path / "1-2-3.png"
    path.write_text("older")
    os.link(path, tmp_path / "link")
    with path.open() as reader:
        assert generate("1-2-3", "--seed", "5").code == 0
        assert reader.read() == "older"
    assert (tmp_path / "link").read_text() == "older"
    assert image_in(path).shape == (28, 84)
    assert names_in(tmp_path) == ["1-2-3.png", "link"]


def test_a_link_is_replaced_and_what_it_points_to_is_left(generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    (tmp_path / "1-2-3.png").symlink_to("precious")
    assert generate("1-2-3", "--seed", "5").code == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert not (tmp_path / "1-2-3.png").is_symlink()
    assert image_in(tmp_path / "1-2-3.png").shape == (28, 84)


def test_a_directory_in_the_way_is_named(generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "1-2-3.png").mkdir()
    (tmp_path / "1-2-3.png" / "kept").touch()
    assert generate("1-2-3", "--seed", "5") == (1, b"", "mnistseq: 1-2-3.png: Is a directory\n")
    assert names_in(tmp_path) == ["1-2-3.png", "1-2-3.png/kept"]


@pytest.mark.parametrize("output", ["file", "file/", "file/x.png", "file/deeper/"])
def test_a_file_in_the_way_is_named(output: str, generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = generate("1-2-3", "-o", output, "--seed", "5")
    assert_refused(done, "mnistseq: file: a file is where a directory should be\n", code=1)
    assert names_in(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_name_too_long_for_the_file_system_is_one_line(generate: Generate, tmp_path: Path) -> None:
    assert_refused(generate("1", "-o", f"{'é' * 200}.png", "--seed", "5"), "File name too long", code=1)
    assert names_in(tmp_path) == []


@ON_LINUX
@pytest.mark.parametrize(("output", "named"), [("/proc/1-2-3.png", "/proc/1-2-3.png"), ("/proc/new/", "/proc/new")])
def test_where_nothing_can_be_made_is_named(output: str, named: str, generate: Generate) -> None:
    assert_refused(generate("1-2-3", "-o", output, "--seed", "5"), f"mnistseq: {named}: No such file", code=1)


@pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_that_is_read_only_is_one_line(generate: Generate, tmp_path: Path) -> None:
    (tmp_path / "locked").mkdir(mode=0o555)
    done = generate("1-2-3", "-o", "locked", "--seed", "5")
    assert_refused(done, "mnistseq: locked/1-2-3.png: Permission denied\n", code=1)


@ON_LINUX
def test_when_the_disk_takes_no_more_the_older_file_stays(tmp_path: Path) -> None:
    import resource

    (tmp_path / "1-2-3.png").write_text("older")
    done = started(
        "1-2-3",
        "--seed",
        "5",
        cwd=tmp_path,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (1, b"", b"mnistseq: 1-2-3.png: File too large\n")
    assert names_in(tmp_path) == ["1-2-3.png"]
    assert (tmp_path / "1-2-3.png").read_text() == "older"


# Streams that are not as usual


@pytest.mark.parametrize("output", ["-", "out/"])
def test_a_pipe_that_nobody_reads_ends_it_quietly(output: str, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*PROGRAM, "generate", "1-2-3", "--seed", "5", "-o", output],
            cwd=tmp_path,
            stdout=writing,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(writing)
    assert (done.returncode, done.stderr) == (1, b"")


def test_head_that_takes_nothing_sees_no_traceback(tmp_path: Path) -> None:
    done = started("1-2-3", "--seed", "5", shell_end="| head -c 0", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert names_in(tmp_path) == ["1-2-3.png"]


def test_a_closed_stdin_is_one_line(tmp_path: Path) -> None:
    done = started("-", "--seed", "5", shell_end="<&-", cwd=tmp_path)
    assert_refused(Done(done.returncode, done.stdout, done.stderr.decode()), "stdin")
    assert names_in(tmp_path) == []


def test_a_closed_stdout_is_no_reason_to_fail_once_the_file_is_there(tmp_path: Path) -> None:
    """The image is the data, and it went to its file; the name on stdout is for the next command, which there is none.

    That is exit 0. Where the data itself was for stdout (`-o -`, `inspect`, `decode`), none of it got there: exit 1.
    """
    done = started("1-2-3", "--seed", "5", shell_end=">&-", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    assert image_in(tmp_path / "1-2-3.png").shape == (28, 84)


def test_bytes_for_a_closed_stdout_are_a_failure_in_one_line(tmp_path: Path) -> None:
    done = started("1-2-3", "-o", "-", "--seed", "5", shell_end=">&-", cwd=tmp_path)
    assert_refused(Done(done.returncode, b"", done.stderr.decode()), "stdout", code=1)


def test_a_closed_stderr_puts_nothing_else_on_stdout(tmp_path: Path) -> None:
    done = started("1-2-3", "-o", "-", shell_end="2>&-", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stdout.endswith(b"IEND\xaeB`\x82")
    assert image_in(io.BytesIO(done.stdout)).shape == (28, 84)


@ON_LINUX
@pytest.mark.parametrize("output", ["-", "out/"])
def test_a_full_device_is_a_failure_in_one_line(output: str, tmp_path: Path) -> None:
    done = started("1-2-3", "-o", output, "--seed", "5", shell_end=">/dev/full", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, b"mnistseq: stdout: No space left on device\n")


@ON_LINUX
def test_names_that_are_not_text_are_printed_as_they_are(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "utf-8:strict"}
    line = [*map(os.fsencode, PROGRAM), b"generate", b"1-2-3", b"--seed", b"5", b"-o", b"\xff/"]
    done = subprocess.run(line, cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"\xff/1-2-3.png\n", b"")


@pytest.mark.skipif(os.name != "posix", reason="it takes a pseudo-terminal")
def test_a_terminal_is_not_spoilt_with_bytes(tmp_path: Path) -> None:
    terminal, side = os.openpty()
    try:
        done = subprocess.run(
            [*PROGRAM, "generate", "1-2-3", "-o", "-"],
            cwd=tmp_path,
            stdout=side,
            stderr=subprocess.PIPE,
            check=False,
            timeout=60,
        )
    finally:
        os.close(side)
        os.close(terminal)
    assert_refused(Done(done.returncode, b"", done.stderr.decode()), "PNG bytes would spoil the terminal")
