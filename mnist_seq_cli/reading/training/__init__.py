"""Owns how the net of the reader is trained. It needs PyTorch, which `pip install 'mnistseq[train]'` brings.

`python -m mnist_seq_cli.reading.training -o DIR` makes `reader-net.npz`, as it is in `data`. Nothing else imports it.
"""
