"""PyTorch's DataLoader takes our datasets as they are, with and without workers, and gives the same samples."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from mnist_seq_cli import SequenceDataset, open_dataset
from mnist_seq_cli.cli import main

pytestmark = pytest.mark.filterwarnings(
    # Python 3.12 and newer, about torch's own way to start workers
    "ignore:This process .* is multi-threaded, use of fork:DeprecationWarning"
)

NAMES = ("image", "digits", "length", "glyphs", "x", "y", "boxes", "number")


@pytest.fixture(scope="module")
def torch() -> ModuleType:
    return pytest.importorskip("torch", reason="PyTorch is not installed: pip install torch")


def assert_same(batch: Any, data: Any, numbers: list[int]) -> None:
    """Every row of a collated batch is the sample of that number, alone."""
    assert type(batch)._fields == NAMES
    assert batch.number.tolist() == numbers
    for row, number in enumerate(numbers):
        sample = data[number]
        for name in NAMES:
            np.testing.assert_array_equal(np.asarray(getattr(batch, name)[row]), getattr(sample, name))


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_samples_in_order(torch: ModuleType, data: SequenceDataset, workers: int) -> None:
    loader = torch.utils.data.DataLoader(data, batch_size=32, num_workers=workers)
    batches = list(loader)
    assert len(batches) == -(-len(data) // 32)
    assert batches[0].image.dtype == torch.uint8
    assert tuple(batches[0].image.shape) == (32, 28, data.recipe.width)
    assert batches[0].digits.dtype == torch.uint8
    assert {batches[0].glyphs.dtype, batches[0].x.dtype} == {torch.int32}
    first = 0
    for batch in batches:
        count = len(batch.number)
        assert_same(batch, data, list(range(first, first + count)))
        first += count
    assert first == len(data)


@pytest.mark.parametrize("workers", [0, 2])
def test_every_sample_comes_once_when_they_are_shuffled(torch: ModuleType, data: SequenceDataset, workers: int) -> None:
    generator = torch.Generator().manual_seed(5)
    loader = torch.utils.data.DataLoader(data, batch_size=50, shuffle=True, num_workers=workers, generator=generator)
    seen: list[int] = []
    for batch in loader:
        numbers = batch.number.tolist()
        assert_same(batch, data, numbers)
        seen += numbers
    assert seen != sorted(seen)
    assert sorted(seen) == list(range(len(data)))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_are_started_in_any_way(torch: ModuleType, data: SequenceDataset, context: str) -> None:
    loader = torch.utils.data.DataLoader(data[:40], batch_size=20, num_workers=1, multiprocessing_context=context)
    first, second = loader
    assert_same(first, data, list(range(20)))
    assert_same(second, data, list(range(20, 40)))


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_stay_for_the_next_epoch(torch: ModuleType, data: SequenceDataset, context: str) -> None:
    loader = torch.utils.data.DataLoader(
        data, 50, shuffle=True, num_workers=2, persistent_workers=True, multiprocessing_context=context
    )
    for _ in range(2):
        assert sorted(torch.cat([batch.number for batch in loader]).tolist()) == list(range(len(data)))


def test_distributed_samplers_share_the_samples_out(torch: ModuleType, data: SequenceDataset) -> None:
    sampler = torch.utils.data.distributed.DistributedSampler
    orders = []
    for epoch in range(2):
        seen = []
        for rank in range(2):
            mine = sampler(data, num_replicas=2, rank=rank, shuffle=True, seed=3)
            mine.set_epoch(epoch)
            seen.append(torch.cat([batch.number for batch in torch.utils.data.DataLoader(data, 25, sampler=mine)]))
        assert sorted(torch.cat(seen).tolist()) == list(range(len(data)))
        orders.append(seen[0].tolist())
    assert orders[0] != orders[1]


def test_a_part_of_the_samples_can_be_loaded(torch: ModuleType, data: SequenceDataset) -> None:
    part = data[10:50:3]
    (batch,) = torch.utils.data.DataLoader(part, batch_size=100)
    assert_same(batch, data, list(range(10, 50, 3)))
    one, other = torch.utils.data.random_split(data, [200, 50], generator=torch.Generator().manual_seed(1))
    assert sorted([sample.number for sample in one] + [sample.number for sample in other]) == list(range(250))


@pytest.mark.parametrize("format_name", ["png", "npz", "webdataset", "idx"])
@pytest.mark.parametrize("workers", [0, 2])
def test_a_dataset_on_disk_is_loaded_in_the_same_way(
    torch: ModuleType, data: SequenceDataset, written: Callable[[str], Path], format_name: str, workers: int
) -> None:
    stored = open_dataset(written(format_name))
    loader = torch.utils.data.DataLoader(stored, batch_size=64, num_workers=workers)
    first = 0
    for batch in loader:
        count = len(batch.number)
        expected = data.batch(first, first + count)
        np.testing.assert_array_equal(batch.image.numpy(), expected.images)
        np.testing.assert_array_equal(batch.digits.numpy(), expected.digits)
        assert batch.number.tolist() == list(range(first, first + count))
        first += count
    assert first == len(data)


def test_torchvision_takes_folders_for_classes(torch: ModuleType, classes: Path) -> None:
    folders = pytest.importorskip(
        "torchvision.datasets", reason="torchvision is not installed: pip install torchvision"
    )
    for split, count in (("train", 64), ("val", 16), ("test", 20)):
        data, stored = folders.ImageFolder(classes / split), open_dataset(classes / split)
        labels = [sample.label.replace("-", "") for sample in stored]
        assert len(data.classes) == count
        assert data.classes == sorted(set(labels))
        assert len(data) == len(stored) == 2 * count
        expected = sorted((label, sample.image.tobytes()) for label, sample in zip(labels, stored, strict=True))
        found = []
        for image, target in data:
            red, green, blue = np.moveaxis(np.asarray(image), 2, 0)  # it makes everything RGB
            np.testing.assert_array_equal(red, green)
            np.testing.assert_array_equal(red, blue)
            found.append((data.classes[target], red.tobytes()))
        assert sorted(found) == expected


def test_torchvision_reads_files_that_are_called_as_mnist_s_own_are(torch: ModuleType, tmp_path: Path) -> None:
    datasets = pytest.importorskip(
        "torchvision.datasets", reason="torchvision is not installed: pip install torchvision"
    )
    asked = ["dataset", "--split", "train=60", "--split", "test=20", "--len", "1", "--invert", "--seed", "5"]
    assert main.run([*asked, "--format", "idx", "--names", "mnist", "-o", str(tmp_path / "out")]) == 0
    (tmp_path / "MNIST/raw").mkdir(parents=True)
    for path in (tmp_path / "out").glob("*/*-ubyte"):
        shutil.copy(path, tmp_path / "MNIST/raw")
    for split in ("train", "test"):
        loaded, stored = datasets.MNIST(tmp_path, train=split == "train"), open_dataset(tmp_path / "out" / split)
        batch = stored.batch(0, len(stored))
        np.testing.assert_array_equal(loaded.data.numpy(), batch.images)
        np.testing.assert_array_equal(loaded.targets.numpy(), batch.digits[:, 0])


@pytest.mark.parametrize("workers", [0, 2])
def test_samples_with_masks_are_collated_too(
    torch: ModuleType, data: SequenceDataset, written: Callable[[str], Path], workers: int
) -> None:
    fresh = SequenceDataset.from_recipe(data.recipe, samples=len(data), masks=True)
    masks = fresh.batch(0, len(data)).masks
    for source in (fresh, open_dataset(written("png --masks")), open_dataset(written("npz --masks"))):
        seen = 0
        for batch in torch.utils.data.DataLoader(source, batch_size=64, num_workers=workers):
            assert type(batch)._fields == (*NAMES, "mask")
            assert batch.mask.dtype == torch.uint8
            here = slice(seen, seen + len(batch.number))
            np.testing.assert_array_equal(batch.mask.numpy(), masks[here])
            np.testing.assert_array_equal(batch.image.numpy(), data.batch(here.start, here.stop).images)
            seen = here.stop
        assert seen == len(data)


def test_a_batch_becomes_tensors_without_a_copy(torch: ModuleType, data: SequenceDataset) -> None:
    batch = data.batch(0, 100)
    for name in ("images", "digits", "lengths", "glyphs", "x"):
        array = getattr(batch, name)
        tensor = torch.from_numpy(array)
        np.testing.assert_array_equal(tensor.numpy(), array)
        assert tensor.data_ptr() == array.ctypes.data


def test_arrays_in_an_npz_file_become_tensors(
    torch: ModuleType, written: Callable[[str], Path], tmp_path: Path, mnistseq: Callable[..., Any]
) -> None:
    with np.load(written("npz") / "dataset.npz") as arrays:
        for name in arrays.files:
            torch.from_numpy(arrays[name])
    from mnist_seq_cli.mnist import idx

    (tmp_path / "values").write_bytes(idx.encode(np.arange(5, dtype=np.float32)))
    assert mnistseq("decode", tmp_path / "values", "-o", tmp_path / "values.npz").code == 0
    with np.load(tmp_path / "values.npz") as arrays:
        assert torch.from_numpy(arrays["values"]).tolist() == [0, 1, 2, 3, 4]


def test_our_package_does_not_import_torch(torch: ModuleType) -> None:
    script = (
        "import sys\n"
        "from mnist_seq_cli import SequenceDataset\n"
        "SequenceDataset(length=4, seed=7)[3]\n"
        "print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "False\n", "")
