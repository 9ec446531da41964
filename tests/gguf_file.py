# SPDX-License-Identifier: Apache-2.0
"""Writes small GGUF files: whole ones, whose weights are random, and headers for the fakes."""

import random
import struct
from pathlib import Path

U32, F32, BOOL, STRING, ARRAY = 4, 6, 7, 8, 9
F32_TENSOR, Q8_0_TENSOR = 0, 8


def _string(text: bytes) -> bytes:
    return struct.pack("<Q", len(text)) + text


def _value(value) -> bytes:
    """Type and value, as a GGUF key-value pair has them after the key."""
    if isinstance(value, bool):
        return struct.pack("<I?", BOOL, value)
    if isinstance(value, int):
        return struct.pack("<II", U32, value)
    if isinstance(value, float):
        return struct.pack("<If", F32, value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value.encode())
    kinds = {bytes: (STRING, _string), float: (F32, lambda v: struct.pack("<f", v))}
    kind, pack = kinds.get(type(value[0]), (5, lambda v: struct.pack("<i", v)))  # 5: int32
    return struct.pack("<IIQ", ARRAY, kind, len(value)) + b"".join(pack(v) for v in value)


def write(path: Path, metadata: dict, tensors: list[tuple[str, list[int], int, bytes]]) -> Path:
    """tensors: name, dimensions (innermost first), ggml type, data."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += _string(key.encode()) + _value(value)
    offset = 0
    for name, dims, kind, data in tensors:
        out += _string(name.encode()) + struct.pack("<I", len(dims))
        out += struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, offset)
        offset += (len(data) + 31) // 32 * 32
    out += bytes(-len(out) % 32)
    for *_, data in tensors:
        out += data + bytes(-len(data) % 32)
    path.write_bytes(out)
    return path


def _matrix(rng: random.Random, rows: int, columns: int) -> bytes:
    """Q8_0: blocks of an f16 scale and 32 signed bytes."""
    scale = struct.pack("<e", 0.02 / 64)
    return b"".join(scale + rng.randbytes(32) for _ in range(rows * columns // 32))


def tiny_llama(path: Path, layers: int = 2, pooling: int | None = None) -> Path:
    """A real llama of random weights that loads everywhere at once; its tokens are bytes. pooling:
    llama.cpp's number of how an embedding is made (1: the mean); a chat model without."""
    context, width = 2048, 64
    rng = random.Random(0)
    tokens = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
    tokens += [b"w%d" % i for i in range(29)]  # a multiple of 32
    wide, heads = width * 2, 2
    metadata = {
        "general.architecture": "llama",
        "general.name": "tiny",
        "general.file_type": 7,
        "llama.context_length": context,
        "llama.embedding_length": width,
        "llama.block_count": layers,
        "llama.feed_forward_length": wide,
        "llama.attention.head_count": heads,
        "llama.attention.head_count_kv": heads,
        "llama.rope.dimension_count": width // heads,
        "llama.attention.layer_norm_rms_epsilon": 1e-5,
        "llama.vocab_size": len(tokens),
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.scores": [0.0] * 3 + [-1000.0] * 256 + [-float(k) for k in range(29)],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * 29,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": "{% for m in messages %}[{{m.role}}] {{m.content}}\n"
        "{% endfor %}[assistant] ",
    }
    if pooling is not None:
        metadata["llama.pooling_type"] = pooling
    tensors = []

    def matrix(name: str, rows: int, columns: int) -> None:
        tensors.append((name, [columns, rows], Q8_0_TENSOR, _matrix(rng, rows, columns)))

    def ones(name: str) -> None:
        tensors.append((name, [width], F32_TENSOR, struct.pack("<f", 1.0) * width))

    matrix("token_embd.weight", len(tokens), width)
    ones("output_norm.weight")
    matrix("output.weight", len(tokens), width)
    for n in range(layers):
        block = f"blk.{n}."
        ones(block + "attn_norm.weight")
        ones(block + "ffn_norm.weight")
        for part in ("q", "k", "v", "output"):
            matrix(f"{block}attn_{part}.weight", width, width)
        matrix(block + "ffn_gate.weight", wide, width)
        matrix(block + "ffn_up.weight", wide, width)
        matrix(block + "ffn_down.weight", width, wide)
    return write(path, metadata, tensors)
