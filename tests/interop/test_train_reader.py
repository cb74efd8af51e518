"""The net of the reader is trained by a module of the package: a few steps of it, and what it writes."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from mnist_seq_cli.reading.net import bundled, load  # noqa: E402
from mnist_seq_cli.reading.training.examples import batches  # noqa: E402
from mnist_seq_cli.reading.training.torch_net import log_chances, loss_of, new_net, save  # noqa: E402


def test_a_net_is_trained_calibrated_and_written(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mnist_seq_cli.reading.training", "-o", tmp_path, "--held-out", "96"]
    subprocess.run([*command, "--steps", "3", "--workers", "0"], check=True)
    net = load(tmp_path / "reader-net.npz")
    assert [weights.shape for weights, _ in net.layers] == [weights.shape for weights, _ in bundled().layers]
    assert len(net.calibration) == 5
    rows = (tmp_path / "log.tsv").read_text().splitlines()
    assert [row.split("\t")[0] for row in rows] == ["steps", "3"]
    subprocess.run([*command, "--steps", "4", "--resume", "--workers", "1", "--bfloat16"], check=True)
    assert (tmp_path / "log.tsv").read_text().splitlines()[2].startswith("4\t")


def test_numpy_computes_what_pytorch_does(tmp_path: Path) -> None:
    """After some steps, so that batch normalisation has something to fold in; but for weights as float16."""
    torch.manual_seed(1)
    net = new_net()
    stream = batches(5, 32)
    for _ in range(3):
        lines, digits, centres, lengths = map(torch.from_numpy, next(stream))
        loss = loss_of(log_chances(net, lines), digits, centres, lengths)
        loss.backward()
    net.eval()
    save(net, tmp_path / "net.npz")
    lines = next(stream).lines
    with torch.inference_mode():
        wanted = log_chances(net, torch.from_numpy(lines)).exp().numpy()
    found = load(tmp_path / "net.npz").chances_of(list(lines))
    np.testing.assert_allclose(np.stack(found), wanted, atol=2e-3)
