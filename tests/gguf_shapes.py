# SPDX-License-Identifier: Apache-2.0
"""Models of random weights in the shapes of today's families, small or of 1 to 3 GB. Needs nothing
but Python. Numbers repeat every few MB: memory is all that they are for."""

import random
import struct
from pathlib import Path

import gguf_file
from gguf_file import F32_TENSOR, Q8_0_TENSOR

PIECE = 34 << 18  # whole blocks of Q8_0


def _noise() -> bytes:
    rng = random.Random(0)
    scale = struct.pack("<e", 0.02 / 64)
    return b"".join(scale + rng.randbytes(32) for _ in range(PIECE // 34))


class Shape:
    """Describes tensors; write() makes the file."""

    def __init__(self, architecture: str, layers: int, width: int, tokens: int, **keys):
        self.tensors: list[tuple[str, list[int], int, int]] = []
        self.layers, self.width = layers, width
        keys = {"block_count": layers, "embedding_length": width, "vocab_size": tokens} | keys
        keys |= {"context_length": 131072, "attention.layer_norm_rms_epsilon": 1e-5}
        self.metadata = {
            "general.architecture": architecture,
            "general.file_type": 7,
            **{f"{architecture}.{key}": value for key, value in keys.items()},
        } | gguf_file.tokenizer(tokens)
        self.matrix("token_embd", tokens, width)
        self.ones("output_norm")

    def matrix(self, name: str, rows: int, columns: int, *more: int) -> None:
        count = rows * columns
        for n in more:
            count *= n
        dims = [columns, rows, *more]
        self.tensors.append((f"{name}.weight", dims, Q8_0_TENSOR, count // 32 * 34))

    def ones(self, name: str, *dims: int, weight: str = ".weight") -> None:
        dims = dims or (self.width,)
        size = 4
        for n in dims:
            size *= n
        self.tensors.append((f"{name}{weight}", list(dims), F32_TENSOR, size))

    def norms(self, block: str, *names: str) -> None:
        for name in names:
            self.ones(block + name)

    def attention(self, block: str, heads: int, kv: int, size: int, gated: bool = False) -> None:
        self.matrix(block + "attn_q", heads * size * (1 + gated), self.width)
        self.matrix(block + "attn_k", kv * size, self.width)
        self.matrix(block + "attn_v", kv * size, self.width)
        self.matrix(block + "attn_output", self.width, heads * size)

    def feed_forward(self, block: str, wide: int, kind: str = "") -> None:
        self.matrix(f"{block}ffn_gate{kind}", wide, self.width)
        self.matrix(f"{block}ffn_up{kind}", wide, self.width)
        self.matrix(f"{block}ffn_down{kind}", self.width, wide)

    def experts(self, block: str, count: int, wide: int) -> None:
        self.ones(block + "ffn_gate_inp", self.width, count)
        self.matrix(block + "ffn_gate_exps", wide, self.width, count)
        self.matrix(block + "ffn_up_exps", wide, self.width, count)
        self.matrix(block + "ffn_down_exps", self.width, wide, count)

    def write(self, path: Path) -> Path:
        noise = _noise()
        with path.open("wb") as f:
            f.write(gguf_file.header(self.metadata, self.tensors))
            for name, _, kind, size in self.tensors:
                whole, rest = divmod(size, PIECE)
                if kind == F32_TENSOR:  # a state's decay is below 0
                    f.write(
                        struct.pack("<f", -0.5 if name.endswith("ssm_a") else 0.5) * (size // 4)
                    )
                else:
                    for _ in range(whole):
                        f.write(noise)
                    f.write(noise[:rest])
                f.write(bytes(-size % 32))
        return path


def _heads(heads: int, kv: int, size: int, rope: int | None = None) -> dict:
    return {
        "attention.head_count": heads,
        "attention.head_count_kv": kv,
        "attention.key_length": size,
        "attention.value_length": size,
        "rope.dimension_count": rope or size,
    }


def grouped(large: bool) -> Shape:
    """Groups of heads share keys and values (as Llama 3.2 1B)."""
    layers, width, wide, heads, kv, tokens = (
        (16, 2048, 8192, 32, 8, 128256) if large else (8, 512, 2048, 8, 2, 32000)
    )
    size = width // heads
    s = Shape("llama", layers, width, tokens, feed_forward_length=wide, **_heads(heads, kv, size))
    s.matrix("output", tokens, width)
    for n in range(layers):
        block = f"blk.{n}."
        s.norms(block, "attn_norm", "ffn_norm")
        s.attention(block, heads, kv, size)
        s.feed_forward(block, wide)
    return s


def sliding(large: bool) -> Shape:
    """Five of six layers look back a window (as Gemma 3 1B); the output is token_embd."""
    layers, width, wide, heads, size, tokens = (
        (26, 1152, 6912, 4, 256, 262144) if large else (12, 384, 1536, 4, 128, 32000)
    )
    more = {"feed_forward_length": wide, "attention.sliding_window": 512}
    s = Shape("gemma3", layers, width, tokens, **more, **_heads(heads, 1, size))
    for n in range(layers):
        block = f"blk.{n}."
        s.norms(block, "attn_norm", "post_attention_norm", "ffn_norm", "post_ffw_norm")
        s.attention(block, heads, 1, size)
        s.ones(block + "attn_q_norm", size)
        s.ones(block + "attn_k_norm", size)
        s.feed_forward(block, wide)
    return s


def experts(large: bool) -> Shape:
    """A few of many experts compute (as Qwen3 30B A3B, with fewer)."""
    layers, width, heads, kv, size, count, used, wide, tokens = (
        (8, 2048, 32, 4, 128, 64, 8, 768, 151936)
        if large
        else (4, 512, 8, 2, 64, 16, 4, 192, 32000)
    )
    more = {"expert_count": count, "expert_used_count": used, "expert_feed_forward_length": wide}
    more |= {"feed_forward_length": 3 * width}
    s = Shape("qwen3moe", layers, width, tokens, **more, **_heads(heads, kv, size))
    for n in range(layers):
        block = f"blk.{n}."
        s.norms(block, "attn_norm", "ffn_norm")
        s.attention(block, heads, kv, size)
        s.ones(block + "attn_q_norm", size)
        s.ones(block + "attn_k_norm", size)
        s.experts(block, count, wide)
    return s


def hybrid(large: bool) -> Shape:
    """Three of four layers have a state in place of a cache (as Qwen3 Next, with fewer experts)."""
    layers, width, heads, kv, size, count, used, wide, tokens = (
        (8, 2048, 16, 2, 256, 64, 10, 512, 151936)
        if large
        else (4, 512, 4, 1, 128, 16, 4, 128, 32000)
    )
    state, keys, values = (128, 16, 32) if large else (64, 4, 8)
    key, value = state * keys, state * values
    more = {"expert_count": count, "expert_used_count": used, "expert_feed_forward_length": wide}
    more |= {"expert_shared_feed_forward_length": wide, "feed_forward_length": 2 * width}
    more |= {"ssm.conv_kernel": 4, "ssm.inner_size": value, "ssm.state_size": state}
    more |= {"ssm.time_step_rank": values, "ssm.group_count": keys, "full_attention_interval": 4}
    s = Shape("qwen3next", layers, width, tokens, **more, **_heads(heads, kv, size, size // 4))
    for n in range(layers):
        block = f"blk.{n}."
        s.norms(block, "attn_norm", "post_attention_norm")
        if n % 4 == 3:
            s.attention(block, heads, kv, size, gated=True)
            s.ones(block + "attn_q_norm", size)
            s.ones(block + "attn_k_norm", size)
        else:
            s.matrix(block + "attn_qkv", 2 * key + value, width)
            s.matrix(block + "attn_gate", value, width)
            s.ones(block + "ssm_conv1d", 4, 2 * key + value)
            s.ones(block + "ssm_dt", values, weight=".bias")
            s.ones(block + "ssm_a", values, weight="")
            s.matrix(block + "ssm_ba", 2 * values, width)
            s.ones(block + "ssm_norm", state)
            s.matrix(block + "ssm_out", width, value)
        s.experts(block, count, wide)
        s.ones(block + "ffn_gate_inp_shexp")
        s.feed_forward(block, wide, "_shexp")
    return s


def latent(large: bool) -> Shape:
    """Keys and values are one short vector (as DeepSeek V2 Lite, without experts)."""
    layers, width, wide, heads, rank, rope, rest, tokens = (
        (27, 2048, 5632, 16, 512, 64, 128, 102400)
        if large
        else (27, 256, 768, 4, 128, 32, 32, 32000)
    )
    more = {"feed_forward_length": wide, "leading_dense_block_count": layers}
    more |= {"expert_feed_forward_length": wide, "expert_shared_count": 0, "expert_count": 0}
    more |= {"expert_used_count": 0, "attention.kv_lora_rank": rank}
    more |= {"attention.key_length_mla": rest + rope, "attention.value_length_mla": rest}
    more |= _heads(heads, 1, rank + rope, rope) | {"attention.value_length": rank}
    s = Shape("deepseek2", layers, width, tokens, **more)
    s.matrix("output", tokens, width)
    for n in range(layers):
        block = f"blk.{n}."
        s.norms(block, "attn_norm", "ffn_norm")
        s.ones(block + "attn_kv_a_norm", rank)
        s.matrix(block + "attn_q", heads * (rest + rope), width)
        s.matrix(block + "attn_kv_a_mqa", rank + rope, width)
        s.matrix(block + "attn_k_b", rank, rest, heads)
        s.matrix(block + "attn_v_b", rest, rank, heads)
        s.matrix(block + "attn_output", width, heads * rest)
        s.feed_forward(block, wide)
    return s


SHAPES = (grouped, sliding, experts, hybrid, latent)
