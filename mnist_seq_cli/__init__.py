"""Images of digit sequences from real handwritten MNIST digits: one or millions, exactly reproducible.

The way of a sample, room by room: options are read into a `Request` (`cli`, `recipe`) and resolved to a `Recipe`, which
holds all that decides its pixels. From the seed and the sample's number the `engine` samples the digits, selects glyphs
of the `mnist` bank, warps and places them, and paints them on the background: a `Batch` of images and annotations. A
dataset is a plan of shards; a runner of `execution` hands them out, each is written in one of the `formats` to a store
of `storage`, and `dataset` records it in the manifest. `samples` gives samples back, from wherever they are; `reading`
turns images back into digits, and `inspection` counts and shows what is there. Codecs and errors are below all of it.
No import goes up.

The names below are loaded when they are first used, so that `import mnist_seq_cli` costs next to nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mnist_seq_cli.engine.batch import MaskedSample, Sample
    from mnist_seq_cli.errors import CheckError, FormatError, MnistseqError, OutputError, RequestError
    from mnist_seq_cli.inspection.scores.score import Score
    from mnist_seq_cli.inspection.scores.scoring import score
    from mnist_seq_cli.recipe.recipe import Recipe
    from mnist_seq_cli.samples.mnist_sequence import MNIST_Sequence_API, generate_numbers_sequence
    from mnist_seq_cli.samples.sequence_dataset import SequenceDataset
    from mnist_seq_cli.samples.stored import StoredDataset, open_dataset

__version__ = "0.1.0"

_HOMES = {
    "CheckError": "errors",
    "FormatError": "errors",
    "MNIST_Sequence_API": "samples.mnist_sequence",
    "MaskedSample": "engine.batch",
    "MnistseqError": "errors",
    "OutputError": "errors",
    "Recipe": "recipe.recipe",
    "RequestError": "errors",
    "Sample": "engine.batch",
    "Score": "inspection.scores.score",
    "StoredDataset": "samples.stored",
    "open_dataset": "samples.stored",
    "score": "inspection.scores.scoring",
    "SequenceDataset": "samples.sequence_dataset",
    "generate_numbers_sequence": "samples.mnist_sequence",
}

__all__ = [
    "CheckError",
    "FormatError",
    "MNIST_Sequence_API",
    "MaskedSample",
    "MnistseqError",
    "OutputError",
    "Recipe",
    "RequestError",
    "Sample",
    "Score",
    "SequenceDataset",
    "StoredDataset",
    "__version__",
    "generate_numbers_sequence",
    "open_dataset",
    "score",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
