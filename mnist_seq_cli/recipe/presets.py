"""Owns presets: options of `mnistseq dataset` under the name of a dataset that people know."""

from __future__ import annotations

PRESETS = {
    # MultiDigitMNIST (S.-H. Sun, 2019): each digit anywhere in its own column of 32 px; its 64, 16 and 20
    # classes, of all 70,000 digits.
    "double-mnist": (
        "--len 2 --per-label 1000 --min 4 --jitter-x 2 --height 64 --jitter-y full --invert --source all "
        "--layout folders --split train=64000 --split val=16000 --split test=20000 "
        "--split-by label --label-order multidigitmnist"
    ),
    # The same with three digits on 84×84 px, which leave no room beside them; its 640, 160 and 200 classes.
    "triple-mnist": (
        "--len 3 --per-label 100 --height 84 --jitter-y full --invert --source all "
        "--layout folders --split train=64000 --split val=16000 --split test=20000 "
        "--split-by label --label-order multidigitmnist"
    ),
    # Sabour, Frosst and Hinton, "Dynamic routing between capsules", NeurIPS 2017, section 6: two different digits on
    # top of each other, each moved by up to 4 px, on 36×36 px.
    "multimnist": (
        "--len 2 --no-repeat --min -28 --jitter-x 4 --jitter-y 4 --invert --split train=60000 --split test=10000"
    ),
    # Manhaeve and others, "DeepProbLog", NeurIPS 2018: pairs of MNIST's digits, each used once, and their sum.
    "mnist-addition": "--len 2 --operands 2 --glyphs once --invert --split train=30000 --split test=5000",
}
PRESET_NAMES = tuple(PRESETS)
