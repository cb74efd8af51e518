"""What is told of strips of all kinds: read exactly, approximately, or not."""

import math

import numpy as np
import pytest
from asked import recipe_for

from mnist_seq_cli.engine.compose import compose
from mnist_seq_cli.errors import CheckError
from mnist_seq_cli.mnist import bank
from mnist_seq_cli.mnist.bank import Source
from mnist_seq_cli.reading import transcribing
from mnist_seq_cli.reading.approximate import Recogniser
from mnist_seq_cli.samples.strip import NamedImage

SOURCE = Source("test")


def test_the_least_confidence_is_taken_and_a_hair_more_is_not() -> None:
    image = compose(recipe_for(seed=3, length=3, max_gap=4, source="test"), bank.load(SOURCE), 0, 1).images[0]
    noisy = np.clip(image.astype(int) + np.random.default_rng(1).integers(-60, 61, image.shape), 0, 255)
    named = NamedImage("noisy.png", noisy.astype(np.uint8))
    confidence = Recogniser(bank.load(SOURCE)).read(named.image).confidence
    assert 0 < confidence < 1
    (taken,) = transcribing.transcribe([named], SOURCE, confidence)
    assert not isinstance(taken.result, CheckError)
    assert taken.result.confidence == confidence
    (left,) = transcribing.transcribe([named], SOURCE, math.nextafter(confidence, 1))
    with pytest.raises(CheckError, match=rf"with a confidence of {confidence:.2f} only; `min_confidence` takes what"):
        raise left.result
