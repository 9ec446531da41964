# SPDX-License-Identifier: Apache-2.0
"""A model with a projector sees images, however they come; both of random weights."""

import base64
import struct
import zlib

import anthropic
import ollama
import openai
import pytest

import gguf_file

BUILD_SECONDS = 1800
TEXT, TOKENS = "What is this?", 12
FROM_AFAR = "http://127.0.0.1:1/a.png"


def png(color: bytes, side: int) -> str:
    """One colour; in base64."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = zlib.crc32(kind + data)
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", check)

    head = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    rows = zlib.compress((b"\0" + color * side) * side)
    parts = [chunk(b"IHDR", head), chunk(b"IDAT", rows), chunk(b"IEND", b"")]
    return base64.b64encode(b"\x89PNG\r\n\x1a\n" + b"".join(parts)).decode()


RED, BLUE = png(b"\xff\0\0", 48), png(b"\0\0\xff", 100)


@pytest.fixture(scope="module")
def eyes(on_cpu, tmp_path_factory):
    folder = tmp_path_factory.mktemp("eyes")
    model = gguf_file.tiny_llama(folder / "eyes.gguf", scale=0.1)
    projector = gguf_file.tiny_projector(folder / "mmproj.gguf")
    added = on_cpu.add(model, mmproj=str(projector), parallel=1)
    assert added["capabilities"] == ["chat", "vision"]
    on_cpu.switch("eyes", "cpu", BUILD_SECONDS)
    yield on_cpu
    on_cpu.call("DELETE", "/llm/api/models/eyes", status=200)


def by_chat(daemon, images: list[str], address: str | None = None) -> tuple[str, int]:
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0
    )
    urls = [address] if address else [f"data:image/png;base64,{i}" for i in images]
    parts = [{"type": "image_url", "image_url": {"url": url}} for url in urls]
    parts = [{"type": "text", "text": TEXT}, *parts]
    said = client.chat.completions.create(
        model="eyes",
        messages=[{"role": "user", "content": parts}],
        temperature=0,
        max_tokens=TOKENS,
    )
    return said.choices[0].message.content, said.usage.prompt_tokens


def by_responses(daemon, images: list[str], address: str | None = None) -> tuple[str, int]:
    client = openai.OpenAI(
        base_url=f"http://127.0.0.1:{daemon.port}/v1", api_key="none", max_retries=0
    )
    urls = [address] if address else [f"data:image/png;base64,{i}" for i in images]
    parts = [{"type": "input_image", "image_url": url, "detail": "auto"} for url in urls]
    parts = [{"type": "input_text", "text": TEXT}, *parts]
    said = client.responses.create(
        model="eyes",
        input=[{"role": "user", "content": parts}],
        temperature=0,
        max_output_tokens=TOKENS,
    )
    return said.output_text, said.usage.input_tokens


def by_messages(daemon, images: list[str], address: str | None = None) -> tuple[str, int]:
    client = anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{daemon.port}", api_key="none", max_retries=0
    )
    sources = [{"type": "base64", "media_type": "image/png", "data": i} for i in images]
    if address:
        sources = [{"type": "url", "url": address}]
    parts = [{"type": "text", "text": TEXT}] + [{"type": "image", "source": s} for s in sources]
    said = client.messages.create(
        model="eyes",
        messages=[{"role": "user", "content": parts}],
        max_tokens=TOKENS,
        extra_body={"temperature": 0},
    )
    usage = said.usage
    return said.content[0].text, usage.input_tokens + (usage.cache_read_input_tokens or 0)


def by_ollama(daemon, images: list[str], address: str | None = None) -> tuple[str, int]:
    client = ollama.Client(host=f"http://127.0.0.1:{daemon.port}")
    options = {"temperature": 0, "num_predict": TOKENS}
    message = {"role": "user", "content": TEXT, "images": images}
    said = client.chat("eyes", [message], options=options)
    return said.message.content, said.prompt_eval_count


@pytest.mark.parametrize("ask", [by_chat, by_responses, by_messages, by_ollama])
def test_images(eyes, ask):
    blind, length = ask(eyes, [])
    red, red_length = ask(eyes, [RED])
    blue, _ = ask(eyes, [BLUE])
    assert len({blind, red, blue}) == 3, "it does not see"
    assert red_length == length + 16
    assert (red, red_length) == by_chat(eyes, [RED]), "the same question"


@pytest.mark.parametrize("ask", [by_chat, by_responses, by_messages])
def test_an_address_is_refused(eyes, ask):
    with pytest.raises((openai.BadRequestError, anthropic.BadRequestError), match="not fetched"):
        ask(eyes, [], FROM_AFAR)


def test_what_is_no_image_is_the_clients_mistake(eyes):
    with pytest.raises(openai.BadRequestError):
        by_chat(eyes, [base64.b64encode(b"no image").decode()])
    assert by_chat(eyes, [])[0]
