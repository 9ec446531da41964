# SPDX-License-Identifier: Apache-2.0
"""LangChain with a real model: it speaks OpenAI's API in its own way."""

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel

import gguf_file

SMOLLM2 = "SmolLM2-135M-Instruct.Q4_1"
QUESTION = "What is 2+2?"


@pytest.fixture
def chat(on_cpu):
    def make(model: str = SMOLLM2, tokens: int = 100) -> ChatOpenAI:
        return ChatOpenAI(
            base_url=f"http://127.0.0.1:{on_cpu.port}/v1",
            api_key="none",
            model=model,
            temperature=0,
            max_tokens=tokens,
            stream_usage=True,
            max_retries=0,
        )

    return make


def test_invoke_and_stream(chat):
    whole = chat(tokens=20).invoke(QUESTION)
    assert "4" in whole.content
    assert whole.response_metadata["model_name"] == SMOLLM2
    pieces = list(chat(tokens=20).stream(QUESTION))
    assert len(pieces) > 5
    said = sum(pieces[1:], pieces[0])
    assert said.content == whole.content
    tokens = ("input_tokens", "output_tokens")
    assert [said.usage_metadata[t] for t in tokens] == [whole.usage_metadata[t] for t in tokens]


class City(BaseModel):
    """A city"""

    name: str
    people: int


def test_structured_output(chat):
    said = chat().with_structured_output(City).invoke("A city and how many live there?")
    assert isinstance(said, City)
    assert said.name


@tool
def weather(city: str) -> str:
    """The weather of a city"""
    return {"London": "Rain", "Madrid": "Sun", "Oslo": "Snow", "Paris": "Fog"}[city]


def question(city: str) -> HumanMessage:
    return HumanMessage(f"What is the weather in {city}?")


def conversation(cities: tuple[str, ...]) -> list:
    """Calls that were made and answered: the model does the same again."""
    messages = []
    for city in cities:
        call = {"name": "weather", "args": {"city": city}, "id": city}
        result = weather.invoke({"city": city})
        messages += [
            question(city),
            AIMessage("", tool_calls=[call]),
            ToolMessage(result, tool_call_id=city),
            AIMessage(f"{result} in {city}."),
        ]
    return messages


def test_an_agents_round(chat, caller):
    """A call, what came of it, and the answer."""
    model = chat(caller).bind_tools([weather])
    messages = [*conversation(("London", "Madrid", "Oslo")), question("Paris")]
    asked: AIMessageChunk | None = None
    for piece in model.stream(messages):
        asked = piece if asked is None else asked + piece
    assert [(c["name"], c["args"]) for c in asked.tool_calls] == [("weather", {"city": "Paris"})]
    assert model.invoke(messages).tool_calls[0]["args"] == {"city": "Paris"}
    said = model.invoke([*messages, asked, weather.invoke(asked.tool_calls[0])])
    assert "Fog in Paris" in said.content


def test_embeddings(on_cpu, tmp_path):
    on_cpu.add(gguf_file.tiny_llama(tmp_path / "vectors.gguf", pooling=1))
    on_cpu.switch("vectors", "cpu")
    # Its own cutting of long texts has OpenAI's tokens.
    made = OpenAIEmbeddings(
        base_url=f"http://127.0.0.1:{on_cpu.port}/v1",
        api_key="none",
        model="vectors",
        check_embedding_ctx_length=False,
        max_retries=0,
    )
    one, other = made.embed_documents(["hello", "goodbye"])
    assert len(one) == gguf_file.WIDTH
    assert made.embed_query("hello") == pytest.approx(one, abs=1e-4)
    assert other != pytest.approx(one, abs=1e-3)
    on_cpu.call("DELETE", "/llm/api/models/vectors", status=200)
