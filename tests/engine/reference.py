#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Computes what the built-in test model answers, in double precision and without llama.cpp.

Prints the table of src/env/verify_reference.c: log-probabilities of every 16th token at each step.
Needs numpy and llama.cpp's own gguf-py (for its dequantisation of the blocks).

usage: reference.py GGUF_PY_FOLDER MODEL.gguf TOKENS
TOKENS: a file with the prompt's token ids, one a line.
"""

import sys
from pathlib import Path

import numpy as np

STEPS = (256, 257, 258, 266, 320)
HEADS, KV_HEADS = 4, 2


def load(path):
    from gguf import GGUFReader
    from gguf.quants import dequantize

    return {
        t.name: dequantize(t.data, t.tensor_type).astype(np.float64)
        for t in GGUFReader(path).tensors
    }


def norm(x, weight):
    return x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-5) * weight


def rope(x, head):
    """Turns neighbouring pairs by their position."""
    n = len(x)
    angle = np.arange(n)[:, None] * 10000.0 ** (-np.arange(0, head, 2) / head)[None]
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]
    x = x.reshape(n, -1, head)
    even, odd = x[..., 0::2], x[..., 1::2]
    return np.stack((even * cos - odd * sin, even * sin + odd * cos), -1).reshape(x.shape)


def softmax(x):
    x = np.exp(x - x.max(-1, keepdims=True))
    return x / x.sum(-1, keepdims=True)


def attention(x, t, p):
    n, head = len(x), x.shape[1] // HEADS
    q = rope(x @ t[p + "attn_q.weight"].T, head)
    k = rope(x @ t[p + "attn_k.weight"].T, head)
    v = (x @ t[p + "attn_v.weight"].T).reshape(n, KV_HEADS, head)
    future = np.triu(np.full((n, n), -np.inf), 1)
    out = np.zeros((n, HEADS, head))
    for i in range(HEADS):
        kv = i * KV_HEADS // HEADS
        out[:, i] = softmax(q[:, i] @ k[:, kv].T / np.sqrt(head) + future) @ v[:, kv]
    return out.reshape(n, -1) @ t[p + "attn_output.weight"].T


def feed_forward(x, t, p):
    gate = x @ t[p + "ffn_gate.weight"].T
    up = x @ t[p + "ffn_up.weight"].T
    return (gate / (1 + np.exp(-gate)) * up) @ t[p + "ffn_down.weight"].T


def logprobs(t, tokens):
    x = t["token_embd.weight"][tokens]
    for layer in range(sum(name.endswith("attn_q.weight") for name in t)):
        p = f"blk.{layer}."
        x = x + attention(norm(x, t[p + "attn_norm.weight"]), t, p)
        x = x + feed_forward(norm(x, t[p + "ffn_norm.weight"]), t, p)
    z = norm(x, t["output_norm.weight"]) @ t["output.weight"].T
    z = z - z.max(-1, keepdims=True)
    return z - np.log(np.exp(z).sum(-1, keepdims=True))


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    sys.path.insert(0, sys.argv[1])
    with Path(sys.argv[3]).open() as file:
        tokens = [int(line) for line in file][: max(STEPS)]
    answers = logprobs(load(sys.argv[2]), tokens)
    for n in STEPS:
        print("{" + ", ".join(f"{answers[n - 1][3 + 16 * i]:.4f}" for i in range(16)) + "},")


main()
