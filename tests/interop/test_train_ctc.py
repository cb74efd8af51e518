"""The example that people copy learns to read strips, in as many steps as are given to it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed")
EXAMPLE = Path(__file__).with_name("train_ctc.py")


def test_the_example_learns_to_read(tmp_path: Path) -> None:
    """300 steps read 94 % of the strips of MNIST's test file; five minutes read 98 %."""
    command = [sys.executable, EXAMPLE, "--steps", "300", "--seconds", "3600", "-o", tmp_path / "trained"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = re.search(r"^300 steps in .*; exact ([\d.]+)%$", done.stdout, re.MULTILINE)
    assert found, done.stdout
    assert float(found[1]) >= 90
    assert re.search(rf"^ exact +[\d,]+, {found[1]}%", done.stdout, re.MULTILINE), done.stdout
    assert len((tmp_path / "trained/predictions.csv").read_text().splitlines()) == 5_001
    assert (tmp_path / "trained/learning-curve.svg").read_text().startswith("<svg")
    assert len(EXAMPLE.read_text().splitlines()) <= 120
