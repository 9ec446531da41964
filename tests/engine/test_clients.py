# SPDX-License-Identifier: Apache-2.0
"""The clients that people use, with a real model: Anthropic's, and OpenAI's other ways."""

import json

import anthropic
import pytest

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
