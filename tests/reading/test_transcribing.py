"""What is told of strips of all kinds: read exactly, approximately, or not."""

import math

import numpy as np
import pytest
from asked import recipe_for

from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import CheckError, MnistseqError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading import transcribing
from mnist_seq_cli.reading.exact import Reading
from mnist_seq_cli.reading.recognition import Recognition, recognise
from mnist_seq_cli.samples.strip import NamedImage

SOURCE = Source("test")


def test_the_least_confidence_is_taken_and_a_hair_more_is_not() -> None:
    image = compose(recipe_for(seed=3, length=3, max_gap=4, source="test"), bank.load(SOURCE), 0, 1).images[0]
    noisy = np.clip(image.astype(int) + np.random.default_rng(1).integers(-60, 61, image.shape), 0, 255)
    named = NamedImage("noisy.png", noisy.astype(np.uint8))
    (recognition,) = recognise([named.image])
    assert isinstance(recognition, Recognition)
    confidence = recognition.confidence
    assert 0 < confidence < 1
    (taken,) = transcribing.transcribe([named], SOURCE, confidence)
    assert not isinstance(taken.result, CheckError)
    assert isinstance(taken.result, Recognition)
    assert taken.result.confidence == confidence
    (left,) = transcribing.transcribe([named], SOURCE, math.nextafter(confidence, 1))
    with pytest.raises(CheckError, match=rf"with a confidence of {confidence:.2f} only; `min_confidence` takes what"):
        raise left.result


def test_strips_of_many_sizes_come_back_in_their_order() -> None:
    """Exact and approximate readings, and what cannot be read, side by side."""
    glyphs = bank.load(SOURCE)
    known = compose(recipe_for(seed=3, length="2-4", max_gap=4, width="fit", source="test"), glyphs, 0, 30)
    strips: list[NamedImage] = []
    for number, (image, width) in enumerate(zip(known.images, known.widths.tolist(), strict=True)):
        shown = image[:, :width].copy()
        if number % 3 == 1:
            shown = (shown // 2 + 60).astype(np.uint8)
        strips.append(NamedImage(f"{number}.png", np.full((28, 50), 255, np.uint8) if number % 3 == 2 else shown))
    found = list(transcribing.transcribe(strips, SOURCE, 0))
    assert [transcript.name for transcript in found] == [strip.name for strip in strips]
    for number, (_, result) in enumerate(found):
        assert isinstance(result, (Reading, Recognition, CheckError)[number % 3])
    right = [
        "".join(map(str, result.digits)) == text
        for (_, result), text in zip(found, known.texts, strict=True)
        if isinstance(result, Reading | Recognition)
    ]
    assert right[::2] == [True] * 10
    assert sum(right) >= 18


def test_json_has_the_same_keys_for_both_ways_of_reading() -> None:
    glyphs = bank.load(SOURCE)
    image = compose(recipe_for(seed=3, length=3, max_gap=4, source="test"), glyphs, 0, 1).images[0]
    pale = (image // 2 + 60).astype(np.uint8)
    exact, other = (
        transcribing.to_json(name, result)
        for name, result in transcribing.transcribe([NamedImage("a", image), NamedImage("b", pale)], SOURCE, 0)
        if not isinstance(result, MnistseqError)
    )
    assert set(exact) - set(other) == {"y"}
    assert (exact["exact"], exact["confidence"], exact["confidences"]) == (True, 1.0, [1.0] * 3)
    assert (other["exact"], other["glyphs"], other["digits"]) == (False, None, exact["digits"])
    assert 0 < other["confidence"] < 1
    assert np.abs(np.array(other["x"]) - exact["x"]).max() <= 6
