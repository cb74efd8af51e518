"""Owns how the net of the reader is trained. Needs PyTorch, which `pip install 'mnistseq[train]'` brings.

`python -m mnist_seq_cli.reading.training` makes `data/reader-net.npz`. Nothing else imports it.
"""
