"""Scores against a slow count, and every spelling of predictions; nothing is dropped without being told."""

import html
import io
import json
import random
import re
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forms import form
from rapidfuzz.distance import Levenshtein

import mnist_seq_cli
from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main
from mnist_seq_cli.engine.batch import Sample
from mnist_seq_cli.errors import FormatError, RequestError
from mnist_seq_cli.inspection.prediction_files import read_stream
from mnist_seq_cli.inspection.predictions import read
from mnist_seq_cli.inspection.scores import scoring
from mnist_seq_cli.inspection.scores.scoring import score
from mnist_seq_cli.mnist.bank import MISLABELED, bundled_writers
from mnist_seq_cli.reading.read_samples import open_samples

Run = Callable[..., tuple[int, str, str]]

COUNT = 300
ASKED = ("-n", str(COUNT), "--len", "2-5", "--max", "3", "--source", "test", "--seed", "4", "--shard-size", "100")


def texts_of(data: SequenceDataset) -> list[str]:
    return [sample.label.replace("-", "") for sample in data]


@pytest.fixture(scope="module")
def data() -> SequenceDataset:
    return SequenceDataset(length="2-5", max_gap=3, source="test", seed=4, samples=COUNT)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("scored")
    for name in ("png", "webdataset", "npz", "idx"):
        assert main.run(["dataset", *ASKED, *form(name), "-o", str(directory / name)]) == 0
    return directory


def spoilt(texts: list[str]) -> list[str]:
    """Readings of a model that is wrong now and then, in all ways."""
    chance = random.Random(7)
    readings = []
    for text in texts:
        digits = list(text)
        if chance.random() < 0.4:
            digits[chance.randrange(len(digits))] = str(chance.randrange(10))
        if chance.random() < 0.2:
            digits.pop(chance.randrange(len(digits)))
        if chance.random() < 0.2:
            digits.insert(chance.randrange(len(digits) + 1), str(chance.randrange(10)))
        readings.append("" if chance.random() < 0.02 else "".join(digits))
    return readings


def distance(truth: str, reading: str) -> int:
    """The edit distance, by the table that every textbook has."""
    row = list(range(len(reading) + 1))
    for i, a in enumerate(truth, 1):
        before, row[0] = row[0], i
        for j, b in enumerate(reading, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (a != b))
    return row[-1]


def slow_score(samples: list[Sample], readings: list[str]) -> dict[str, Any]:
    """Score one sample after the other, in the plainest way."""
    positions: dict[int, Counter[str]] = {place: Counter() for place in range(6)}
    lengths: dict[str, Counter[str]] = {}
    gaps: dict[str, Counter[str]] = {}
    confusion, deleted, inserted = [[0] * 10 for _ in range(10)], [0] * 10, [0] * 10
    seen, wrong = Counter[int](), Counter[int]()
    total = Counter[str]()
    for sample, reading in zip(samples, readings, strict=True):
        truth, glyphs, x = sample.label.replace("-", ""), sample.glyphs.tolist(), sample.x.tolist()
        mine, touched = lengths.setdefault(str(len(truth)), Counter()), set()
        mine.update(samples=1, digits=len(truth), exact=truth == reading, errors=distance(truth, reading))
        total.update(exact=truth == reading, errors=distance(truth, reading), digits=len(truth))
        seen.update(glyphs[: len(truth)])
        left = dict(enumerate(truth))
        for kind, source, target in Levenshtein.editops(truth, reading).as_list():
            total[kind] += 1
            if kind == "insert":
                inserted[int(reading[target])] += 1
                positions[source]["inserted"] += 1
                touched.add((source - 1, source))
                continue
            digit = int(left.pop(source))
            wrong[glyphs[source]] += 1
            touched |= {(source - 1, source), (source, source + 1)}
            if kind == "delete":
                deleted[digit] += 1
                positions[source]["deleted"] += 1
            else:
                confusion[digit][int(reading[target])] += 1
                positions[source]["substituted"] += 1
        for digit in left.values():
            confusion[int(digit)][int(digit)] += 1
        for position in range(len(truth)):
            positions[position]["digits"] += 1
        for position in range(len(truth) - 1):
            gap = gaps.setdefault(str(x[position + 1] - x[position] - 28), Counter())
            gap.update(pairs=1, errors=(position, position + 1) in touched)
    names = ("digits", "substituted", "deleted", "inserted")
    return {
        "exact": total["exact"],
        "digits": total["digits"],
        "errors": total["errors"],
        "substitutions": total["replace"],
        "insertions": total["insert"],
        "deletions": total["delete"],
        "positions": [{name: positions[place][name] for name in names} for place in range(6)],
        "lengths": {
            size: {name: lengths[size][name] for name in ("samples", "exact", "digits", "errors")}
            for size in sorted(lengths)
        },
        "gaps": {gap: {name: gaps[gap][name] for name in ("pairs", "errors")} for gap in sorted(gaps)},
        "confusion": confusion,
        "deleted": deleted,
        "inserted": inserted,
        "known_wrong": {
            "seen": sum(seen[glyph] for glyph in MISLABELED),
            "wrong": sum(wrong[glyph] for glyph in MISLABELED),
        },
        "by_glyph": {glyph: (seen[glyph], times) for glyph, times in wrong.items()},
    }


@pytest.mark.parametrize(
    "looks", [["--crop", "tight", "--min", "-3", "--max", "4"], ["--jitter-x", "5", "--min", "7", "--max", "9"]]
)
def test_errors_by_gap_are_by_the_gap_that_was_drawn(looks: list[str], tmp_path: Path, mnistseq: Run) -> None:
    asked = ("-n", "120", "--len", "2-5", "--seed", "4", *looks)
    assert mnistseq("dataset", *asked, "-o", tmp_path / "out")[0] == 0
    rows = [json.loads(line) for line in (tmp_path / "out" / "metadata.jsonl").read_text().splitlines()]
    readings = spoilt([row["text"] for row in rows])
    (tmp_path / "x").write_text("\n".join(readings) + "\n")
    expected: dict[int, Counter[str]] = {}
    for row, reading in zip(rows, readings, strict=True):
        troubled = set()
        for kind, source, _ in Levenshtein.editops(row["text"], reading).as_list():
            troubled |= {source - 1} if kind == "insert" else {source - 1, source}
        for pair, gap in enumerate(row["gaps"]):
            expected.setdefault(gap, Counter()).update(pairs=1, errors=pair in troubled)
    assert len(expected) > 2
    found = json.loads(mnistseq("inspect", tmp_path / "out", "--predictions", tmp_path / "x", "--json")[1])
    told = {str(gap): {name: expected[gap][name] for name in ("pairs", "errors")} for gap in sorted(expected)}
    assert found["predictions"]["gaps"] == told


def test_without_a_recipe_errors_are_not_told_by_gap(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2-3", "4-5-6", "--min", "20", "--crop", "tight", "--seed", "1", "-o", f"{tmp_path}/a/")
    (tmp_path / "x").write_text("123\n457\n")
    found = json.loads(mnistseq("inspect", tmp_path / "a", "--predictions", tmp_path / "x", "--json")[1])["predictions"]
    assert (found["exact"], found["substitutions"], found["gaps"]) == (1, 1, {})


@pytest.mark.parametrize("name", ["png", "webdataset", "npz", "idx"])
def test_every_number_is_that_of_a_slow_count(name: str, place: Path, data: SequenceDataset, mnistseq: Run) -> None:
    readings = spoilt(texts_of(data))
    (place / "readings.txt").write_text("".join(f"{reading}\n" for reading in readings))
    code, text, err = mnistseq("inspect", place / name, "--predictions", place / "readings.txt", "--json")
    assert (code, err) == (0, "")
    found = json.loads(text)["predictions"]
    expected = slow_score(list(data), readings)
    by_glyph = expected.pop("by_glyph")
    assert {key: found[key] for key in expected} == expected
    assert (found["samples"], found["scored"], found["missing"], found["unknown"]) == (COUNT, COUNT, 0, 0)
    assert found["exact_rate"] == pytest.approx(expected["exact"] / COUNT)
    assert found["character_error_rate"] == pytest.approx(expected["errors"] / expected["digits"])
    assert len(found["glyphs"]) == min(len(by_glyph), scoring.MOST_GLYPHS)
    for entry in found["glyphs"]:
        assert (entry["seen"], entry["wrong"]) == by_glyph[entry["glyph"]]
        assert sum(entry["read_as"].values()) == entry["wrong"]
        assert entry["known_wrong_label"] == (entry["glyph"] in MISLABELED)
    assert [entry["wrong"] for entry in found["glyphs"]] == sorted(
        (times for _, times in by_glyph.values()), reverse=True
    )[: scoring.MOST_GLYPHS]
    worst = sorted(
        (-distance(text, reading), number)
        for number, (text, reading) in enumerate(zip(texts_of(data), readings, strict=True))
        if text != reading
    )
    assert [(-entry["errors"], entry["sample"]) for entry in found["worst"]] == worst[: scoring.KEPT]


@pytest.mark.parametrize(
    ("truth", "reading", "expected"),
    [
        ("12", "12", (0, 0, 0)),
        ("12", "13", (1, 0, 0)),
        ("12", "1", (0, 0, 1)),
        ("12", "152", (0, 1, 0)),
        ("12", "", (0, 0, 2)),
        ("1234", "234", (0, 0, 1)),
        ("12", "9912", (0, 2, 0)),
    ],
)
def test_a_digit_too_few_does_not_make_all_that_follow_wrong(
    truth: str, reading: str, expected: tuple[int, int, int], tmp_path: Path
) -> None:
    main.run(["generate", "-".join(truth), "--seed", "1", "-o", str(tmp_path / f"{'-'.join(truth)}.png")])
    found = open_samples(tmp_path)
    result = score(found, [reading])
    assert (result.substitutions, result.insertions, result.deletions) == expected
    assert result.errors == sum(expected)


def test_glyphs_whose_label_is_known_to_be_wrong_are_marked(tmp_path: Path, mnistseq: Run) -> None:
    """MNIST's own digits as sequences of one, and a model that reads those 15 in another way than MNIST does."""
    labels = [str(row[0]) for row in ([*map(int, text)] for part in open_samples(None).labels() for text in part.texts)]
    for glyph in MISLABELED:
        labels[glyph] = str((int(labels[glyph]) + 1) % 10)
    (tmp_path / "readings.txt").write_text("\n".join(labels) + "\n")
    code, text, err = mnistseq("inspect", "--predictions", tmp_path / "readings.txt", "--json")
    assert (code, err) == (0, "")
    found = json.loads(text)["predictions"]
    assert (found["samples"], found["errors"]) == (70_000, 15)
    assert {entry["glyph"] for entry in found["glyphs"]} == MISLABELED
    assert all(entry["known_wrong_label"] for entry in found["glyphs"])
    assert found["known_wrong"] == {"seen": 15, "wrong": 15}
    code, text, _ = mnistseq("inspect", "--predictions", tmp_path / "readings.txt")
    assert text.count("MNIST's label is wrong") == 15
    assert "read wrongly 15 of 15 times" in text


def test_the_digits_of_a_source_of_ones_own_are_not_marked(tmp_path: Path, mnistseq: Run) -> None:
    """Its ids have nothing to do with those of MNIST."""
    data = Path(__file__).resolve().parents[2] / "data"
    source = ("--source", data / "t10k-images-idx3-ubyte", "--source-labels", data / "t10k-labels-idx1-ubyte")
    mnistseq("dataset", "-n", "20", "--len", "2", "--seed", "1", *source, "-o", tmp_path / "own")
    (tmp_path / "readings.txt").write_text("00\n" * 20)
    code, text, _ = mnistseq("inspect", tmp_path / "own", "--predictions", tmp_path / "readings.txt", "--json")
    found = json.loads(text)["predictions"]
    assert (code, found["known_wrong"]) == (0, {"seen": 0, "wrong": 0})
    assert not any(entry["known_wrong_label"] for entry in found["glyphs"])
    assert found["glyphs"]
    assert max(entry["glyph"] for entry in found["glyphs"]) < 10_000  # ids of that source


def test_chosen_samples_are_shown_beside_the_score(place: Path, data: SequenceDataset, mnistseq: Run) -> None:
    """What was typed counts: neither leaves the other out."""
    (place / "right.txt").write_text("".join(f"{text}\n" for text in texts_of(data)))
    plain = mnistseq("inspect", place / "png", "--predictions", place / "right.txt")[1]
    for numbers in ("7", "7,2"):
        code, text, _ = mnistseq("inspect", place / "png", "--predictions", place / "right.txt", "--index", numbers)
        assert (code, text.startswith(plain)) == (0, True)
        captions = re.findall(r"^\d+: [0-9-]+$", text[len(plain) :], re.MULTILINE)
        assert captions == [f"{number}: {data[int(number)].label}" for number in numbers.split(",")]


# Spellings


def rows_of(text: str) -> list[tuple[str | None, str]]:
    return [(row.name, row.text) for row in read(text.splitlines(keepends=True), "x")]


ARRAY = [["a.png", "1-2-3"], ["b.png", None], [7, [0, 0, 4, 2]]]
RECORDS = [{"input_path": name, "rec_text": text, "rec_score": 0.98} for name, text in ARRAY]
NAMED = [("a.png", "123"), ("b.png", ""), ("7", "0042")]
SPELLINGS = {
    "CSV": "file_name,prediction\na.png,1-2-3\nb.png,\n7,0042\n",
    "CSV without a header": "a.png,1-2-3\nb.png,\n7,0-0-4-2\n",
    "CSV of another order": "label,prediction,file_name\n9,1-2-3,a.png\n9,,b.png\n9,0042,7\n",
    "CSV in quotes": '"a.png","1-2-3"\n"b.png",""\n"7","0,0,4,2"\n',
    "CSV with CRLF and a byte-order mark": "\ufefffile_name,prediction\r\na.png,1-2-3\r\nb.png,\r\n7,0042\r\n",
    "tabs": "a.png\t1-2-3\nb.png\t\n7\t0042\n",
    "CSV after blank lines": "\n\nfile_name,prediction\na.png,1-2-3\nb.png,\n7,0042\n",
    "CSV with the index of pandas": ",prediction\na.png,1-2-3\nb.png,\n7,0042\n",
    "CSV with that index, written again": "Unnamed: 0,score,prediction\na.png,1,1-2-3\nb.png,1,\n7,1,0042\n",
    "tabs with the index of pandas": "\tprediction\na.png\t1-2-3\nb.png\t\n7\t0042\n",
    "keys of webdataset": "score,__key__,prediction\n1,a.png,1-2-3\n1,b.png,\n1,7,0042\n",
    "JSON lines": '{"file_name": "a.png", "prediction": "1-2-3"}\n'
    '{"file": "b.png", "text": ""}\n{"index": 7, "pred": "0042"}\n',
    "tabs and a score": "a.png\t1-2-3\t0.98\nb.png\t\t0.1\n7\t0042\t1\n",
    "semicolons": "file;ocr;score\na.png;1-2-3;0,98\nb.png;;0,1\n7;0042;1\n",
    "semicolons without a header": "a.png;1-2-3;0,98\nb.png;;0,1\n7;0042;1e-9\n",
    "a JSON array of arrays": json.dumps(ARRAY),
    "a JSON array of objects": json.dumps(RECORDS, indent=1),
    "objects in another one": json.dumps({"model": "x", "results": RECORDS}),
    "a JSON map": json.dumps({str(name): text for name, text in ARRAY}, indent=2),
    "a JSON map of objects": json.dumps({str(name): {"text": text, "score": 0.5} for name, text in ARRAY}),
    "columns as pandas writes them": json.dumps(
        {
            "file": {str(row): str(name) for row, (name, _) in enumerate(ARRAY)},
            "prediction": {str(row): text for row, (_, text) in enumerate(ARRAY)},
        }
    ),
    "columns": json.dumps({"file": [name for name, _ in ARRAY], "prediction": [text for _, text in ARRAY]}),
    "JSON lists": '["a.png", "123"]\n["b.png", ""]\n[7, [0, 0, 4, 2]]\n',
}
ORDERED = [(None, "123"), (None, ""), (None, "0042")]
IN_ORDER = {
    "lines": "1-2-3\n\n0042\n",
    "lines without an end": "123\n\n0-0-4-2",
    "lines with a header": "prediction\n123\n\n0042\n",
    "lines with CRLF": "123\r\n\r\n0042\r\n",
    "spaces": "1 2 3\n \n0 0 4 2\n",
    "CSV of one column in quotes": '"prediction"\n"1-2-3"\n""\n"0,0,4,2"\n',
    "CSV of one column with nothing in quotes": 'prediction\n123\n""\n0042\n',
    "JSON texts": '"1-2-3"\n""\n"0042"\n',
    "JSON digits": "[1, 2, 3]\n[]\n[0, 0, 4, 2]\n",
    "JSON objects": '{"prediction": "123"}\n{"prediction": ""}\n{"prediction": [0, 0, 4, 2]}\n',
    "a JSON array": '["1-2-3", "",\n "0042"]\n',
    "a JSON array of texts with scores": '[["123", 0.9], ["", 0.1], ["0042", 1.0]]',
    "a JSON array in an object": '{"predictions": ["1-2-3", null, "0042"]}',
    "pipelines": '[[{"generated_text": "123"}], [{"generated_text": ""}], [{"generated_text": "0042"}]]',
    "CSV of one column with another": "prediction,score\n123,0.5\n,0.1\n0042,1\n",
}


def test_a_table_may_begin_with_nothing_read() -> None:
    assert rows_of("a.png\t\nb.png\t12\n") == [("a.png", ""), ("b.png", "12")]
    assert rows_of("a.png,\nb.png,12\n") == [("a.png", ""), ("b.png", "12")]


@pytest.mark.parametrize("text", SPELLINGS.values(), ids=SPELLINGS.keys())
def test_predictions_with_names(text: str) -> None:
    assert rows_of(text) == NAMED


@pytest.mark.parametrize("text", IN_ORDER.values(), ids=IN_ORDER.keys())
def test_predictions_in_their_order(text: str) -> None:
    assert rows_of(text) == ORDERED


DAMAGED = {
    "words": ("hello\nworld\n", "no prediction of"),
    "Arabic digits": ("٣\n", "no prediction of"),
    "NUL": ("1\n\0\n", r"line 2: '\x00'"),
    "escapes": ("1\n\x1b[31m\n", "line 2"),
    "a million digits": ("1" * 1_000_000, "line 1"),
    "a million letters": ("x" * 1_000_000, "line 1"),
    "a column too many": ("a,1\nb,2,3\n", "line 2 has 3 columns"),
    "a column too few": ("a,1\nb\n", "line 2 has 1 columns"),
    "a column that may be of names": ("shot,prediction\na,1\n", "names no sample by file_name or index, but"),
    "a field that may be a name": ('{"shot": "a", "prediction": "1"}\n', "line 1 names no sample by file_name"),
    "no column of predictions": ("file_name,score\na,1\n", "no column of predictions"),
    "true": ('{"index": 1, "prediction": true}\n', "line 1 is not a prediction"),
    "JSON of something else": ('[{"a": 1}]\n', "line 1 is not a prediction"),
    "JSON that is cut off": ('{"predictions": [\n"12",\n', "is not sound JSON"),
    "a third column that is no score": ("a.png,12,12\n", "line 1 has 3 columns and not 2"),
    "broken JSON": ('{"index": 1, "prediction": "1"}\n{"index"\n', "line 2 is not a prediction"),
    "100,000 levels": ('{"index": 1, "prediction": "1"}\n' + "[" * 100_000 + "\n", "line 2 is not a prediction"),
    "a name for some": ('{"prediction": "1"}\n{"index": 1, "prediction": "1"}\n', "line 2: some predictions name"),
    "a long field": ("a,1\nb," + "1" * 200_000 + "\n", "line 2"),
    "a quote that is never closed": ('a,1\n"b,2\n' + "c,3\n" * 100_000, "line"),
}


def test_a_json_document_of_very_many_values_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each would become an object of 50 to 200 bytes."""
    monkeypatch.setattr("mnist_seq_cli.inspection.predictions.MAX_VALUES", 4)
    assert rows_of('["1", "2", "3", "4"]') == [(None, digit) for digit in "1234"]
    with pytest.raises(FormatError, match="is too large for one JSON document of 4 values") as raised:
        rows_of('["1", "2", "3",\n"4", "5"]')
    assert raised.value.hint == "write JSON lines"


@pytest.mark.parametrize(("text", "named"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_predictions_are_told_in_one_line(
    text: str, named: str, place: Path, tmp_path: Path, mnistseq: Run
) -> None:
    (tmp_path / "x").write_text(text)
    code, out, err = mnistseq("inspect", place / "png", "--predictions", tmp_path / "x")
    assert (code, out, err.count("\n")) == (2, "", 1)
    assert named in err
    assert len(err) < 1000
    assert err.rstrip("\n").isprintable()


def test_what_is_no_file_of_predictions_is_refused(place: Path, tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "binary").write_bytes(b"1\n\xff\xfe\n")
    for name, reason in (("nothing", "does not exist"), ("", "is not a file"), ("binary", "is not text")):
        code, out, err = mnistseq("inspect", place / "png", "--predictions", tmp_path / name)
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert reason in err
    assert mnistseq("inspect", place / "png", "--predictions", "/dev/zero").code == 2


# Nothing is dropped


def test_missing_unknown_and_repeated_rows_are_counted_and_told(place: Path, tmp_path: Path, mnistseq: Run) -> None:
    lines = ["images/00000/00000003.png,1-2", "00000004.png,12", "5,12", "00000004.png,99", "nope.png,1", "300,1"]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    code, text, err = mnistseq("inspect", place / "png", "--predictions", tmp_path / "x.csv", "--json")
    report = json.loads(text)
    found = report["predictions"]
    assert code == 1
    assert (found["scored"], found["missing"], found["unknown"], found["repeated"]) == (3, 297, 2, 1)
    assert found["samples"] == found["scored"] + found["missing"]
    assert report["problems"] == [
        "297 of 300 samples have no prediction",
        f"2 rows of {tmp_path / 'x.csv'} are about no sample (the first: line 5, 'nope.png')",
        f"1 row of {tmp_path / 'x.csv'} is about a sample again (the first: line 4, '00000004.png')",
    ]
    assert err == "".join(f"mnistseq: {problem}\n" for problem in report["problems"])
    code, text, _ = mnistseq("inspect", place / "png", "--predictions", tmp_path / "x.csv")
    assert code == 1
    assert re.search(r"missing +297\n? *unknown rows +2\n? *repeated rows +1", re.sub(r" +\n", "\n", text))


@pytest.mark.parametrize(("lines", "missing", "unknown"), [(0, 300, 0), (299, 1, 0), (302, 0, 2)])
def test_too_few_and_too_many_lines(
    lines: int, missing: int, unknown: int, place: Path, tmp_path: Path, mnistseq: Run
) -> None:
    (tmp_path / "x").write_text("1\n" * lines)
    code, text, _ = mnistseq("inspect", place / "npz", "--predictions", tmp_path / "x", "--json")
    found = json.loads(text)["predictions"]
    assert (code, found["missing"], found["unknown"]) == (1, missing, unknown)


def test_predictions_come_from_stdin(place: Path, data: SequenceDataset, environment: dict[str, str]) -> None:
    command = ["mnistseq", "inspect", str(place / "png"), "--predictions", "-", "--json"]
    readings = "".join(f"{text}\n" for text in texts_of(data))
    done = subprocess.run(command, input=readings, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)["predictions"]
    assert (found["exact"], found["errors"], found["worst"], found["glyphs"]) == (COUNT, 0, [], [])


def test_what_decode_prints_are_predictions(place: Path, tmp_path: Path, mnistseq: Run) -> None:
    strips = sorted((place / "png").rglob("*.png"))[:50]
    (tmp_path / "x").write_text(mnistseq("decode", *strips).out)
    code, text, _ = mnistseq("inspect", place / "png", "--predictions", tmp_path / "x", "--json")
    found = json.loads(text)["predictions"]
    assert (code, found["exact"], found["scored"], found["missing"]) == (1, 50, 50, 250)


def test_there_is_nothing_to_hold_predictions_against(tmp_path: Path, mnistseq: Run) -> None:
    mnistseq("generate", "1-2", "-o", tmp_path / "folder" / "x.png")
    (tmp_path / "x").write_text("1-2\n")
    code, out, err = mnistseq("inspect", tmp_path / "folder", "--predictions", tmp_path / "x")
    assert (code, out, err) == (2, "", "mnistseq: there are no labels to score predictions against\n")
    labels = Path(__file__).resolve().parents[2] / "data" / "t10k-labels-idx1-ubyte"
    code, out, err = mnistseq("inspect", labels, "--predictions", tmp_path / "x")
    assert (code, out, err.count("\n")) == (2, "", 1)


def test_names_are_looked_up_as_they_are_written(place: Path) -> None:
    found = open_samples(place / "png")
    names = ["images/00002/00000299.png", r"c:\x\00000299.png", "00000299.json", "299", " 299 ", "00299"]
    assert [found.number_of(name) for name in names] == [299] * 6
    assert [found.number_of(name) for name in ("300", "x", "", "-1", "1.5", "299.gif", "٣", "1" * 5000)] == [None] * 8


def test_some_with_a_name_and_some_without_cannot_be(place: Path) -> None:
    with pytest.raises(FormatError, match="line 2: some predictions name their sample and some do not"):
        score(open_samples(place / "png"), {1: "", None: ""})


def test_the_terminal_shows_the_worst_strips(place: Path, data: SequenceDataset, tmp_path: Path, mnistseq: Run) -> None:
    readings = texts_of(data)
    readings[17] = "999" + readings[17]
    readings[5] = "0" if readings[5][0] != "0" else "1"
    (tmp_path / "x").write_text("\n".join(readings) + "\n")
    code, text, err = mnistseq("inspect", place / "png", "--predictions", tmp_path / "x", "--show", "2")
    assert (code, err) == (0, "")
    captions = re.findall(r"^\d+: .*, read as .*$", text, re.MULTILINE)
    ranked = sorted((5, 17), key=lambda number: (-distance(texts_of(data)[number], readings[number]), number))
    assert captions == [f"{number}: {data[number].label}, read as {'-'.join(readings[number])}" for number in ranked]
    assert max(map(len, text.splitlines())) <= 100


def test_samples_go_by_their_names_in_folders(tmp_path: Path, mnistseq: Run) -> None:
    options = {"asked": ("-n", "30", "--len", "1-3"), "each": ("--len", "1", "--per-label", "3")}
    for name, asked in options.items():
        out = tmp_path / name
        assert mnistseq("dataset", *asked, "--layout", "folders", "--seed", "4", "-o", out).code == 0
        rows = [line.split(",") for line in (out / "labels.csv").read_text().split()[1:]]
        found = open_samples(out)
        for spelled in ("{}", "/data/x/{}", "C:\\x\\{}"):
            assert [found.number_of(spelled.format(file)) for file, _ in rows] == list(range(30))
        assert [found.number_of(Path(file).stem) for file, _ in rows] == list(range(30))
        assert [found.number_of(other) for other in ("7", "29", "30", "0_x.png", "99_1.png", "1.5", "")] == [
            *(7, 29),
            *[None] * 5,
        ]
        (tmp_path / "read").write_text("".join(f"{file},{label}\n" for file, label in reversed(rows)))
        done = mnistseq("inspect", out, "--predictions", tmp_path / "read", "--json")
        assert (done.code, json.loads(done.out)["predictions"]["exact"]) == (0, 30)


@pytest.mark.parametrize("end", ["\n\n\n", " \n\t\n", "\r\n\r\n\r\n"])
def test_blank_lines_at_the_end_are_nothing_and_others_are_empty_predictions(
    end: str, tmp_path: Path, mnistseq: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert rows_of(f"12\n\n  \n34{end}") == [(None, "12"), (None, ""), (None, ""), (None, "34")]
    assert rows_of(f"\n\n34{end}") == [(None, ""), (None, ""), (None, "34")]
    assert rows_of(f'12\n""\n34\n""{end}') == [(None, "12"), (None, ""), (None, "34"), (None, "")]
    assert rows_of(end) == []
    assert mnistseq("dataset", "-n", "3", "--len", "2", "--seed", "1", "-o", tmp_path / "out").code == 0
    content = f"12\n\n34{end}".encode()
    (tmp_path / "x").write_bytes(content)
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(content)))
    for name in ("-", tmp_path / "x"):
        score = json.loads(mnistseq("inspect", tmp_path / "out", "--predictions", name, "--json").out)["predictions"]
        assert (score["scored"], score["missing"], score["unknown"]) == (3, 0, 0)


def test_a_line_without_an_end_is_refused_at_once() -> None:
    class Endless(io.RawIOBase):
        taken = 0

        def readable(self) -> bool:
            return True

        def readinto(self, buffer: Any) -> int:
            self.taken += len(buffer)
            buffer[:] = bytes(len(buffer))
            return len(buffer)

    file = Endless()
    with pytest.raises(
        FormatError, match=r"^stdin, line 1 has more than 1048576 characters, too many for a prediction"
    ):
        list(read_stream(io.BufferedReader(file), "stdin"))
    assert file.taken < 3 << 20
    assert [row.text for row in read_stream(io.BytesIO(b"12\r\n\n3"), "x")] == ["12", "", "3"]


# Symbols that are no digits


@pytest.mark.parametrize(
    ("text", "symbols"),
    [
        *(("12a4", "12a4"), ("1-2-a-4", "12a4"), ("1 2 a 4", "12a4"), ("<unk>2-<unk>", "?2?"), ("[UNK]1", "?1")),
        *(("1²", "1²"), ("1--2", "1--2"), ("-1", "-1"), ("1.5", "1.5"), ("1\u200b2", "1?2"), ("5018.0", "5018")),
    ],
)
def test_what_is_no_digit_is_a_symbol_all_the_same(text: str, symbols: str) -> None:
    assert rows_of(f"1\n{text}\n") == [(None, "1"), (None, symbols)]
    assert rows_of(f"a,1\nb,{text}\n") == [("a", "1"), ("b", symbols)]


def test_other_symbols_are_wrong_and_have_their_column(tmp_path: Path, mnistseq: Run) -> None:
    data = SequenceDataset(sequences=["012", "345"], samples=2)
    found = score(data, ["0o2", "<unk>345x"])
    assert (found.substitutions, found.insertions, found.exact) == (1, 2, 0)
    assert (found.other, found.inserted_other) == ([0, 1] + [0] * 8, 2)
    assert sum(map(sum, found.confusion)) == 5
    assert mnistseq("dataset", "-n", "2", "--len", "3", "--seed", "1", "-o", tmp_path / "out").code == 0
    (tmp_path / "x").write_text("1a\n<unk>\n")
    _, text, _ = mnistseq("inspect", tmp_path / "out", "--predictions", tmp_path / "x", "--html", tmp_path / "page")
    assert re.search(r"^ digit( +\d){10} other none", text, re.MULTILINE)
    assert '<th scope="col">other</th>' in (tmp_path / "page").read_text()


# Zeros that were lost

ZEROS = ["0012", "0000", "0407", "1203", "0451"]


@pytest.mark.parametrize(
    ("readings", "found", "padded"),
    [
        ([12, 0, 407, 1203, 451], "4 of 4 wrong ones lack nothing but zeros", 5),
        (["12.0", "0.0", "407.0", "1203.0", "451.0"], "5 are written like 5018.0", 5),
        ([12, 0, 407, 9999, 451], "4 of 5 wrong ones lack nothing but zeros", 4),
        (["0012", "0000", "407", "1203", "451"], "", 5),  # of which a model has missed two
        (["012", "", "407", "1203", "0451"], "", 4),
        (["9012", "9000", "9407", "1203", "451"], "", 2),
    ],
)
def test_lost_zeros_are_noticed_and_can_be_read(readings: list[Any], found: str, padded: int) -> None:
    data = SequenceDataset(sequences=ZEROS, samples=5)
    problems = score(data, readings).problems
    assert len(problems) == (found != "")
    assert all(found in problem and "dtype=str" in problem and "--pad-zeros" in problem for problem in problems)
    assert (score(data, readings, pad_zeros=True).exact, score(data, readings, pad_zeros=True).problems) == (padded, [])


def test_lost_zeros_are_a_failure_unless_they_are_padded(tmp_path: Path, mnistseq: Run) -> None:
    (tmp_path / "labels").write_text("\n".join(ZEROS))
    asked = ("-n", "5", "--labels", tmp_path / "labels", "--seed", "1")
    assert mnistseq("dataset", *asked, "-o", tmp_path / "out").code == 0
    (tmp_path / "x.csv").write_text(",prediction\n" + "".join(f"{row},{int(text)}\n" for row, text in enumerate(ZEROS)))
    command = ("inspect", tmp_path / "out", "--predictions", tmp_path / "x.csv")
    code, _, err = mnistseq(*command)
    assert (code, err.count("\n"), "x.csv went through numbers" in err) == (1, 1, True)
    code, text, err = mnistseq(*command, "--pad-zeros", "--json")
    assert (code, err, json.loads(text)["predictions"]["exact"]) == (0, "", 5)
    assert mnistseq("inspect", tmp_path / "out", "--pad-zeros").code == 2


# In Python


def test_a_score_in_python_is_that_of_the_command_line(place: Path, data: SequenceDataset, mnistseq: Run) -> None:
    readings = spoilt(texts_of(data))
    path = place / "readings.csv"
    path.write_text("index,prediction\n" + "".join(f"{row},{text}\n" for row, text in enumerate(readings)))
    found = json.loads(mnistseq("inspect", place / "npz", "--predictions", path, "--json").out)["predictions"]
    stored = open_dataset(place / "npz")
    given: list[Any] = [path, str(path), readings, dict(enumerate(readings)), np.array(readings)]
    given += [{f"{row:08d}.png": [int(digit) for digit in text] for row, text in enumerate(readings)}]
    for predictions in given:
        assert json.loads(json.dumps(mnist_seq_cli.score(stored, predictions).to_json())) == found
    assert json.loads(json.dumps(mnist_seq_cli.score(data, readings).to_json())) == found
    part = mnist_seq_cli.score(stored[100:200], readings[100:200])
    assert (part.samples, part.exact) == (100, sum(map(str.__eq__, texts_of(data)[100:200], readings[100:200])))
    assert mnist_seq_cli.score(stored[:2], {250: "1", 1: texts_of(data)[1]}).unknown == 1


def test_an_array_in_a_file_is_read(place: Path, data: SequenceDataset, mnistseq: Run) -> None:
    texts = texts_of(data)
    rows = np.full((COUNT, 5), -1)
    for row, text in zip(rows, texts, strict=True):
        row[: len(text)] = list(map(int, text))
    for array in (np.array(texts), np.array(texts).astype("S"), rows):
        np.save(place / "read.npy", array)
        assert score(data, place / "read.npy").exact == COUNT
    np.save(place / "read.npy", np.array(texts).astype(float))
    assert "300 are written like 5018.0" in mnistseq("inspect", place / "npz", "--predictions", place / "read.npy").err
    for array in (np.zeros((2, 2, 2)), np.zeros(2, dtype=bool), np.zeros((COUNT, 5))):
        np.save(place / "read.npy", array)
        with pytest.raises(FormatError, match="and no predictions"):
            score(data, place / "read.npy")
    np.save(place / "read.npy", np.array(["0042"]))
    sound = (place / "read.npy").read_bytes()
    for damaged in (sound[:9], sound[:90], sound[:-1], sound[:-1] + b"\xff", sound.replace(b"}", b"(")):
        (place / "read.npy").write_bytes(damaged)
        with pytest.raises(FormatError, match="not a sound npy file"):
            score(data, place / "read.npy")


def test_parquet_asks_for_what_reads_it(place: Path, data: SequenceDataset) -> None:
    (place / "read.parquet").write_bytes(b"PAR1 and nothing else PAR1")
    with pytest.raises((FormatError, RequestError), match=r"package pyarrow; pip install|not a sound parquet"):
        score(data, place / "read.parquet")


# Two models


def test_two_models_are_compared_on_what_both_have_read(tmp_path: Path, place: Path, mnistseq: Run) -> None:
    texts = texts_of(open_dataset(place / "npz"))
    first = ["9" if row % 10 == 0 else text for row, text in enumerate(texts)]
    second = ["9" if row % 3 == 0 else text for row, text in enumerate(texts)]
    for name, readings in (("first", first), ("second", second)):
        rows = [f"{row},{text}\n" for row, text in enumerate(readings) if row != (17 if name == "first" else 30)]
        (tmp_path / name).write_text("index,prediction\n" + "".join(rows))
    command = ("inspect", place / "npz", "--predictions", tmp_path / "first", "--predictions", tmp_path / "second")
    code, text, _ = mnistseq(*command, "--json", "--html", tmp_path / "page")
    report = json.loads(text)
    found, rows = report["comparison"], [row for row in range(COUNT) if row not in (17, 30)]
    ones = [row for row in rows if row % 3 == 0 and row % 10]
    others = [row for row in rows if row % 10 == 0 and row % 3]
    assert (code, found["samples"], found["only_first"], found["only_second"]) == (1, 298, len(ones), len(others))
    assert (found["first_alone"], found["second_alone"]) == (ones, others)
    assert found["both"] + found["neither"] == 298 - len(ones) - len(others)
    assert (report["predictions"]["exact"], found["second"]["exact"]) == (269, 200)
    assert all(problem.startswith("1 of 300 samples have no prediction in ") for problem in report["problems"])
    code, text, _ = mnistseq(*command)
    for shown in (text, html.unescape((tmp_path / "page").read_text())):
        assert "first reads more of them, and hardly by chance" in " ".join(shown.split())
    again = json.loads(mnistseq(*command[:4], "--predictions", tmp_path / "first", "--json").out)["comparison"]
    assert (again["p_value"], again["only_first"], again["only_second"]) == (1.0, 0, 0)
    assert mnistseq(*command, "--predictions", tmp_path / "first").code == 2


# Writers


def test_writers_are_scored_and_census_employees_apart_from_students(place: Path, data: SequenceDataset) -> None:
    texts, readings = texts_of(data), [re.sub("[37]", "1", text) for text in texts_of(data)]
    result = score(open_dataset(place / "npz"), readings)
    seen, wrong = Counter[int](), Counter[int]()
    for sample, text in zip(data, texts, strict=True):
        for writer, digit in zip(bundled_writers()[sample.glyphs[: sample.length]].tolist(), text, strict=True):
            seen[writer] += 1
            wrong[writer] += digit in "37"
    ranked = sorted((writer for writer in wrong if wrong[writer]), key=lambda one: (-wrong[one], seen[one], one))
    assert result.writers == [{"writer": one, "seen": seen[one], "wrong": wrong[one]} for one in ranked[:30]]
    assert result.groups == {
        name: {"seen": sum(seen[one] for one in part), "wrong": sum(wrong[one] for one in part)}
        for name, part in (
            ("census employees", [one for one in seen if one < 2_100]),
            ("students", [one for one in seen if one >= 2_100]),
        )
    }
    titles = [chart.title for chart in result.charts(12)]
    assert titles[-2:] == ["digits read wrongly, by who wrote them", "digits read wrongly, by writer: the worst"]
