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


def header(metadata: dict, tensors: list[tuple[str, list[int], int, int]]) -> bytearray:
    """All that comes before the data, of which each begins at a multiple of 32. tensors: name,
    dimensions (innermost first), ggml type, bytes."""
    out = bytearray(b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(metadata)))
    for key, value in metadata.items():
        out += _string(key.encode()) + _value(value)
    offset = 0
    for name, dims, kind, size in tensors:
        out += _string(name.encode()) + struct.pack("<I", len(dims))
        out += struct.pack(f"<{len(dims)}Q", *dims) + struct.pack("<IQ", kind, offset)
        offset += (size + 31) // 32 * 32
    return out + bytes(-len(out) % 32)


def write(path: Path, metadata: dict, tensors: list[tuple[str, list[int], int, bytes]]) -> Path:
    """tensors: name, dimensions (innermost first), ggml type, data."""
    out = header(metadata, [(name, dims, kind, len(data)) for name, dims, kind, data in tensors])
    for *_, data in tensors:
        out += data + bytes(-len(data) % 32)
    path.write_bytes(out)
    return path


def _matrix(rng: random.Random, rows: int, columns: int, scale: float = 0.02) -> bytes:
    """Q8_0: blocks of an f16 scale and 32 signed bytes."""
    packed = struct.pack("<e", scale / 64)
    return b"".join(packed + rng.randbytes(32) for _ in range(rows * columns // 32))


WIDTH, WIDE, HEADS, CONTEXT = 64, 128, 2, 2048
TOKENS = 288  # a multiple of 32


def tokenizer(count: int) -> dict:
    """Whose tokens are bytes, and words until there are so many."""
    words = count - 259
    tokens = [b"<unk>", b"<s>", b"</s>"] + [b"<0x%02X>" % i for i in range(256)]
    return {
        "tokenizer.ggml.model": "llama",
        "tokenizer.ggml.tokens": tokens + [b"w%d" % i for i in range(words)],
        "tokenizer.ggml.scores": [0.0] * 3 + [-1000.0] * 256 + [-float(k) for k in range(words)],
        "tokenizer.ggml.token_type": [2, 3, 3] + [6] * 256 + [1] * words,
        "tokenizer.ggml.bos_token_id": 1,
        "tokenizer.ggml.eos_token_id": 2,
        "tokenizer.ggml.add_space_prefix": False,
        "tokenizer.chat_template": "{% for m in messages %}[{{m.role}}] {{m.content}}\n"
        "{% endfor %}[assistant] ",
    }


def _metadata(architecture: str, layers: int, more: dict) -> dict:
    """Of a small model whose tokens are bytes. more: of the architecture, without its name."""
    general = {
        "context_length": CONTEXT,
        "embedding_length": WIDTH,
        "block_count": layers,
        "feed_forward_length": WIDE,
        "attention.head_count": HEADS,
        "attention.head_count_kv": HEADS,
        "rope.dimension_count": WIDTH // HEADS,
        "attention.layer_norm_rms_epsilon": 1e-5,
        "vocab_size": TOKENS,
    } | more
    return {
        "general.architecture": architecture,
        "general.name": "tiny",
        "general.file_type": 7,
        **{f"{architecture}.{key}": value for key, value in general.items()},
    } | tokenizer(TOKENS)


class _Tensors(list):
    """Random ones. scale: of their numbers; large enough, and what came before matters."""

    def __init__(self, scale: float = 0.02):
        super().__init__()
        self.rng, self.scale = random.Random(0), scale

    def matrix(self, name: str, rows: int, columns: int) -> None:
        data = _matrix(self.rng, rows, columns, self.scale)
        self.append((f"{name}.weight", [columns, rows], Q8_0_TENSOR, data))

    def exact(self, name: str, dims: list[int], low: float, high: float) -> None:
        """float32, evenly between the two."""
        count = 1
        for n in dims:
            count *= n
        numbers = (self.rng.uniform(low, high) for _ in range(count))
        self.append((name, dims, F32_TENSOR, struct.pack(f"<{count}f", *numbers)))

    def ones(self, name: str, size: int = WIDTH) -> None:
        self.append((f"{name}.weight", [size], F32_TENSOR, struct.pack("<f", 1.0) * size))

    def attention(self, block: str) -> None:
        for part in ("q", "k", "v", "output"):
            self.matrix(f"{block}attn_{part}", WIDTH, WIDTH)

    def feed_forward(self, block: str) -> None:
        self.matrix(f"{block}ffn_gate", WIDE, WIDTH)
        self.matrix(f"{block}ffn_up", WIDE, WIDTH)
        self.matrix(f"{block}ffn_down", WIDTH, WIDE)


def tiny_llama(
    path: Path, layers: int = 2, pooling: int | None = None, scale: float = 0.02
) -> Path:
    """A real llama of random weights that loads everywhere at once; its tokens are bytes. pooling:
    llama.cpp's number of how an embedding is made (1: the mean); a chat model without."""
    t = _Tensors(scale)
    t.matrix("token_embd", TOKENS, WIDTH)
    t.ones("output_norm")
    t.matrix("output", TOKENS, WIDTH)
    for n in range(layers):
        block = f"blk.{n}."
        t.ones(block + "attn_norm")
        t.ones(block + "ffn_norm")
        t.attention(block)
        t.feed_forward(block)
    more = {} if pooling is None else {"pooling_type": pooling}
    return write(path, _metadata("llama", layers, more), t)


def large_llama(path: Path, layers: int = 22) -> Path:
    """One whose size matters: with 22 layers 1.3 G weights, Q8_0. They are random but for their
    repeating every few million; drawing each would take minutes. It answers in words, as bytes
    are few among its tokens."""
    width, heads, words = 2048, 16, 32000
    tile = _matrix(random.Random(0), (1 << 17) + 1, 32)
    wide = 3 * width

    def matrix(name: str, rows: int, columns: int) -> tuple[str, list[int], int, bytes]:
        size = rows * columns // 32 * 34
        data = (tile * (size // len(tile) + 1))[:size]
        return f"{name}.weight", [columns, rows], Q8_0_TENSOR, data

    def ones(name: str) -> tuple[str, list[int], int, bytes]:
        return f"{name}.weight", [width], F32_TENSOR, struct.pack("<f", 1.0) * width

    tensors = [matrix("token_embd", words, width), ones("output_norm")]
    tensors.append(matrix("output", words, width))
    for n in range(layers):
        block = f"blk.{n}."
        tensors += [ones(block + "attn_norm"), ones(block + "ffn_norm")]
        tensors += [
            matrix(f"{block}attn_{part}", width, width) for part in ("q", "k", "v", "output")
        ]
        tensors += [matrix(f"{block}ffn_{part}", wide, width) for part in ("gate", "up")]
        tensors.append(matrix(block + "ffn_down", width, wide))
    more = {"context_length": 1 << 20, "embedding_length": width, "feed_forward_length": wide}
    more |= {"attention.head_count": heads, "attention.head_count_kv": heads}
    more |= {"rope.dimension_count": width // heads, "vocab_size": words}
    facts = _metadata("llama", layers, more)
    added = words - TOKENS
    facts["tokenizer.ggml.tokens"] += [b" w%d" % i for i in range(added)]
    facts["tokenizer.ggml.scores"] += [-1e4] * added
    facts["tokenizer.ggml.token_type"] += [1] * added
    return write(path, facts, tensors)


def hollow_llama(path: Path, layers: int, mib: int) -> Path:
    """A llama with layers of so many MiB that takes no disk: no server can use it."""
    size = mib << 20
    names = [f"blk.{n}.ffn_up.weight" for n in range(layers)]
    tensors = [(name, [WIDTH, size // 4 // WIDTH], F32_TENSOR, size) for name in names]
    with path.open("wb") as f:
        start = f.write(header(_metadata("llama", layers, {}), tensors))
        f.truncate(start + layers * size)
    return path


SIDE, PATCH = 64, 16  # of an image, and of what becomes one token


def tiny_projector(path: Path) -> Path:
    """Real eyes of random weights for a model of WIDTH: every image becomes 16 tokens (llava's)."""
    t = _Tensors(0.1)
    patches = (SIDE // PATCH) ** 2
    t.exact("v.patch_embd.weight", [PATCH, PATCH, 3, WIDTH], -0.1, 0.1)
    t.exact("v.position_embd.weight", [WIDTH, patches], -0.1, 0.1)
    for n in range(2):  # llava does not use the last
        block = f"v.blk.{n}."
        for norm in ("ln1", "ln2"):
            t.ones(block + norm)
        for part in ("q", "k", "v", "out"):
            t.matrix(f"{block}attn_{part}", WIDTH, WIDTH)
        t.matrix(block + "ffn_up", WIDE, WIDTH)
        t.matrix(block + "ffn_down", WIDTH, WIDE)
    for n in (0, 2):
        t.matrix(f"mm.{n}", WIDTH, WIDTH)
        t.exact(f"mm.{n}.bias", [WIDTH], -0.1, 0.1)
    vision = {
        "image_size": SIDE,
        "patch_size": PATCH,
        "image_mean": [0.5] * 3,
        "image_std": [0.5] * 3,
        "embedding_length": WIDTH,
        "feed_forward_length": WIDE,
        "projection_dim": WIDTH,
        "block_count": 2,
        "attention.head_count": HEADS,
        "attention.layer_norm_epsilon": 1e-5,
    }
    facts = {"general.architecture": "clip", "general.type": "mmproj"}
    facts |= {"clip.has_vision_encoder": True, "clip.projector_type": "mlp"}
    return write(path, facts | {f"clip.vision.{key}": v for key, v in vision.items()}, t)


def projector(path: Path, vision: bool = True, audio: bool = False) -> Path:
    """A header alone: no server can use it."""
    facts = {"general.architecture": "clip", "general.type": "mmproj"}
    facts |= {"clip.has_vision_encoder": vision, "clip.has_audio_encoder": audio}
    return write(path, facts, [("v.weight", [32], F32_TENSOR, bytes(128))])


def tiny_sliding(path: Path) -> Path:
    """Every second layer sees only the last 32 tokens (gemma2)."""
    t = _Tensors(0.1)
    t.matrix("token_embd", TOKENS, WIDTH)
    t.ones("output_norm")
    for n in range(2):
        block = f"blk.{n}."
        for norm in ("attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm"):
            t.ones(block + norm)
        t.attention(block)
        t.feed_forward(block)
    size = WIDTH // HEADS
    more = {"attention.key_length": size, "attention.value_length": size}
    more["attention.sliding_window"] = 32
    return write(path, _metadata("gemma2", 2, more), t)


def tiny_recurrent(path: Path) -> Path:
    """No attention at all: one state instead of a growing memory (mamba)."""
    inner, state, rank, kernel = 2 * WIDTH, 16, 4, 4
    t = _Tensors(0.1)
    t.matrix("token_embd", TOKENS, WIDTH)
    t.ones("output_norm")
    for n in range(2):
        block = f"blk.{n}."
        t.ones(block + "attn_norm")
        t.matrix(block + "ssm_in", 2 * inner, WIDTH)
        t.exact(block + "ssm_conv1d.weight", [kernel, inner], -0.5, 0.5)
        t.exact(block + "ssm_conv1d.bias", [inner], -0.1, 0.1)
        t.matrix(block + "ssm_x", rank + 2 * state, inner)
        t.exact(block + "ssm_dt.weight", [rank, inner], -0.5, 0.5)
        t.exact(block + "ssm_dt.bias", [inner], -4, -2)
        t.exact(block + "ssm_a", [state, inner], -2, -0.1)
        t.exact(block + "ssm_d", [inner], 0.5, 1)
        t.matrix(block + "ssm_out", WIDTH, inner)
    more = {"ssm.conv_kernel": kernel, "ssm.inner_size": inner, "ssm.state_size": state}
    more |= {"ssm.time_step_rank": rank, "attention.head_count": 0, "feed_forward_length": 0}
    more |= {"attention.head_count_kv": 0, "rope.dimension_count": 0}
    return write(path, _metadata("mamba", 2, more), t)


def tiny_hybrid(path: Path) -> Path:
    """A layer with a state, and one with attention (lfm2)."""
    kernel = 3
    t = _Tensors(0.1)
    t.matrix("token_embd", TOKENS, WIDTH)
    t.ones("token_embd_norm")
    for n in range(2):
        block = f"blk.{n}."
        t.ones(block + "attn_norm")
        t.ones(block + "ffn_norm")
        t.feed_forward(block)
    t.exact("blk.0.shortconv.conv.weight", [kernel, WIDTH], -0.5, 0.5)
    t.matrix("blk.0.shortconv.in_proj", 3 * WIDTH, WIDTH)
    t.matrix("blk.0.shortconv.out_proj", WIDTH, WIDTH)
    t.attention("blk.1.")
    t.ones("blk.1.attn_q_norm", WIDTH // HEADS)
    t.ones("blk.1.attn_k_norm", WIDTH // HEADS)
    more = {"attention.head_count_kv": [0, HEADS], "shortconv.l_cache": kernel}
    return write(path, _metadata("lfm2", 2, more), t)
