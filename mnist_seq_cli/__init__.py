"""Images of digit sequences from real handwritten MNIST digits: one or millions, exactly reproducible.

How a sample is made, package by package: options become a `Request` (`cli`, `recipe`), which is resolved to a `Recipe`
with everything that determines the pixels. From the seed and the number of a sample, the `engine` samples the digits,
selects glyphs from the `mnist` bank, warps and places them, and paints them on the background: a `Batch` of images and
annotations. A dataset is a plan of shards; a runner of `execution` distributes them, each is written in one of the
`formats` to a store of `storage`, and `dataset` records it in the manifest. `samples` gives access to samples, wherever
they are; `reading` turns images back into digits, and `inspection` describes datasets. Codecs and errors are below all
of these. No import goes up.

The names below are loaded on first use, so that `import mnist_seq_cli` costs next to nothing.
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
