# SPDX-License-Identifier: Apache-2.0
"""The clients that people use, with a real model: Anthropic's, and OpenAI's other ways."""

import json

import anthropic
import ollama
import pytest

import gguf_file

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = [{"role": "user", "content": "What is 2+2?"}]


@pytest.fixture
def claude(on_cpu) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{on_cpu.port}", api_key="none", max_retries=0
    )


def test_anthropics_messages(claude, client):
    asked = {"model": SMOLLM2, "max_tokens": 20, "messages": QUESTION}
    asked["extra_body"] = {"temperature": 0}
    whole = claude.messages.create(**asked)
    assert "4" in whole.content[0].text
    assert whole.model == SMOLLM2
    with claude.messages.stream(**asked) as stream:
        text = "".join(stream.text_stream)
    assert text == whole.content[0].text
    assert stream.get_final_message().usage.output_tokens == whole.usage.output_tokens
    count = claude.messages.count_tokens(model=SMOLLM2, messages=QUESTION).input_tokens
    same = client.chat.completions.create(model=SMOLLM2, messages=QUESTION, max_tokens=1)
    assert count == same.usage.prompt_tokens


def test_what_the_worker_refuses_has_anthropics_form(claude):
    with pytest.raises(anthropic.BadRequestError) as told:
        claude.messages.create(
            model=SMOLLM2, max_tokens=1, messages=QUESTION, extra_body={"top_k": "many"}
        )
    assert told.value.body["error"]["type"] == "invalid_request_error"


def test_responses(client):
    asked = {"model": SMOLLM2, "input": "What is 2+2?", "max_output_tokens": 20, "temperature": 0}
    whole = client.responses.create(**asked)
    assert "4" in whole.output_text
    told = list(client.responses.create(**asked, stream=True))
    pieces = [event.delta for event in told if event.type == "response.output_text.delta"]
    assert "".join(pieces) == whole.output_text


def test_a_json_schema_is_kept_to(client):
    shape = {
        "type": "object",
        "properties": {"city": {"type": "string"}, "people": {"type": "integer"}},
        "required": ["city", "people"],
    }
    said = client.chat.completions.create(
        model=SMOLLM2,
        messages=[{"role": "user", "content": "A city and how many live there?"}],
        max_tokens=200,
        temperature=0,
        response_format={
            "type": "json_schema",
            "json_schema": {"name": "city", "schema": shape, "strict": True},
        },
    )
    told = json.loads(said.choices[0].message.content)
    assert isinstance(told["city"], str)
    assert isinstance(told["people"], int)


def test_ollamas_chat(on_cpu, client):
    own = ollama.Client(host=f"http://127.0.0.1:{on_cpu.port}")
    asked = {"model": SMOLLM2, "messages": QUESTION}
    options = {"temperature": 0, "num_predict": 20}
    whole = own.chat(**asked, options=options)
    same = client.chat.completions.create(**asked, temperature=0, max_tokens=20)
    assert whole.message.content == same.choices[0].message.content
    assert whole.prompt_eval_count == same.usage.prompt_tokens
    assert whole.eval_duration > 0
    pieces = list(own.chat(**asked, options=options, stream=True))
    assert "".join(p.message.content for p in pieces) == whole.message.content
    assert pieces[-1].eval_count == whole.eval_count
    shape = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}
    said = own.generate(SMOLLM2, "A number?", format=shape, options={**options, "num_predict": 50})
    assert isinstance(json.loads(said.response)["n"], int)


def test_ollamas_embeddings(on_cpu, client, tmp_path):
    own = ollama.Client(host=f"http://127.0.0.1:{on_cpu.port}")
    on_cpu.add(gguf_file.tiny_llama(tmp_path / "vectors.gguf", pooling=1))
    on_cpu.switch("vectors", "cpu")
    same = client.embeddings.create(model="vectors", input="hello", encoding_format="float")
    assert own.embed("vectors", "hello").embeddings[0] == pytest.approx(
        same.data[0].embedding, abs=1e-4
    )
    on_cpu.call("DELETE", "/llm/api/models/vectors", status=200)
