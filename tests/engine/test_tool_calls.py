# SPDX-License-Identifier: Apache-2.0
"""A real model calls a function, as each kind of client says and hears it."""

import json

import anthropic
import jsonschema
import ollama
import pytest

ABOUT = "The weather of a city"
SHAPE = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        "days": {"type": "integer"},
    },
    "required": ["city", "unit", "days"],
    "additionalProperties": False,
}
# Calls that were made and answered: the model does the same again.
EARLIER = {"London": "Rain", "Madrid": "Sun", "Oslo": "Snow"}
ASKED, SAID = "What is the weather in {}?", "{} in {}."
NOW = {"role": "user", "content": ASKED.format("Paris")}


def made(city: str) -> dict:
    return {"city": city, "unit": "celsius", "days": 1}


def judge(name: str, arguments: dict) -> None:
    assert name == "get_weather"
    jsonschema.validate(arguments, SHAPE)
    assert arguments["city"] == "Paris"


def openai_asked(choice: str) -> dict:
    messages = []
    for city, weather in EARLIER.items():
        function = {"name": "get_weather", "arguments": json.dumps(made(city))}
        calls = [{"id": city, "type": "function", "function": function}]
        messages += [
            {"role": "user", "content": ASKED.format(city)},
            {"role": "assistant", "content": None, "tool_calls": calls},
            {"role": "tool", "tool_call_id": city, "content": weather},
            {"role": "assistant", "content": SAID.format(weather, city)},
        ]
    function = {"name": "get_weather", "description": ABOUT, "parameters": SHAPE}
    return {
        "model": "caller",
        "messages": [*messages, NOW],
        "tools": [{"type": "function", "function": function}],
        "tool_choice": choice,
        "temperature": 0,
        "max_tokens": 100,
    }


@pytest.mark.parametrize("choice", ["auto", "required"])
def test_openai(client, caller, choice):
    asked = openai_asked(choice)
    whole = client.chat.completions.create(**asked).choices[0]
    assert whole.finish_reason == "tool_calls"
    (call,) = whole.message.tool_calls
    judge(call.function.name, json.loads(call.function.arguments))

    pieces = [p.choices[0] for p in client.chat.completions.create(**asked, stream=True)]
    calls = [c for p in pieces for c in p.delta.tool_calls or []]
    assert pieces[-1].finish_reason == "tool_calls"
    assert {c.index for c in calls} == {0}
    assert [c.function.name for c in calls if c.function.name] == ["get_weather"]
    assert len([c for c in calls if c.id]) == 1
    assert "".join(c.function.arguments or "" for c in calls) == call.function.arguments
    assert len(calls) > 2, "not a stream"


def test_openais_result_is_heard(client, caller):
    asked = openai_asked("none")
    said = client.chat.completions.create(**openai_asked("auto")).choices[0].message
    result = {"role": "tool", "tool_call_id": said.tool_calls[0].id, "content": "Fog"}
    asked["messages"] += [said.to_dict(), result]
    told = client.chat.completions.create(**asked).choices[0].message
    assert "Fog in Paris" in told.content


def test_openais_responses(client, caller):
    items = []
    for city, weather in EARLIER.items():
        call = {"call_id": city, "name": "get_weather", "arguments": json.dumps(made(city))}
        items += [
            {"role": "user", "content": ASKED.format(city)},
            {"type": "function_call", **call},
            {"type": "function_call_output", "call_id": city, "output": weather},
            {"type": "message", "role": "assistant", "content": SAID.format(weather, city)},
        ]
    asked = {
        "model": caller,
        "input": [*items, NOW],
        "tools": [
            {
                "type": "function",
                "name": "get_weather",
                "description": ABOUT,
                "parameters": SHAPE,
                "strict": True,
            }
        ],
        "tool_choice": "required",
        "temperature": 0,
        "max_output_tokens": 100,
    }
    (call,) = (o for o in client.responses.create(**asked).output if o.type == "function_call")
    judge(call.name, json.loads(call.arguments))

    told = list(client.responses.create(**asked, stream=True))
    pieces = [e.delta for e in told if e.type == "response.function_call_arguments.delta"]
    assert "".join(pieces) == call.arguments
    assert told[-1].type == "response.completed"
    assert [o.name for o in told[-1].response.output if o.type == "function_call"] == [call.name]


def test_anthropic(on_cpu, caller):
    claude = anthropic.Anthropic(
        base_url=f"http://127.0.0.1:{on_cpu.port}", api_key="none", max_retries=0
    )
    messages = []
    for city, weather in EARLIER.items():
        use = {"type": "tool_use", "id": city, "name": "get_weather", "input": made(city)}
        result = {"type": "tool_result", "tool_use_id": city, "content": weather}
        messages += [
            {"role": "user", "content": ASKED.format(city)},
            {"role": "assistant", "content": [use]},
            {"role": "user", "content": [result]},
            {"role": "assistant", "content": SAID.format(weather, city)},
        ]
    asked = {
        "model": caller,
        "messages": [*messages, NOW],
        "tools": [{"name": "get_weather", "description": ABOUT, "input_schema": SHAPE}],
        "tool_choice": {"type": "any"},
        "max_tokens": 100,
        "extra_body": {"temperature": 0},
    }
    whole = claude.messages.create(**asked)
    assert whole.stop_reason == "tool_use"
    (call,) = (block for block in whole.content if block.type == "tool_use")
    judge(call.name, call.input)

    with claude.messages.stream(**asked) as stream:
        pieces = [e.partial_json for e in stream if e.type == "input_json"]
    final = stream.get_final_message()
    assert final.stop_reason == "tool_use"
    (streamed,) = (block for block in final.content if block.type == "tool_use")
    assert (streamed.name, streamed.input) == (call.name, call.input)
    assert json.loads("".join(pieces)) == call.input


def test_ollama(on_cpu, caller):
    own = ollama.Client(host=f"http://127.0.0.1:{on_cpu.port}")
    assert "tools" in own.show(caller).capabilities
    messages = []
    for city, weather in EARLIER.items():
        calls = [{"function": {"name": "get_weather", "arguments": made(city)}}]
        messages += [
            {"role": "user", "content": ASKED.format(city)},
            {"role": "assistant", "content": "", "tool_calls": calls},
            {"role": "tool", "tool_name": "get_weather", "content": weather},
            {"role": "assistant", "content": SAID.format(weather, city)},
        ]
    asked = {
        "model": caller,
        "messages": [*messages, NOW],
        "tools": [
            {
                "type": "function",
                "function": {"name": "get_weather", "description": ABOUT, "parameters": SHAPE},
            }
        ],
        "options": {"temperature": 0, "num_predict": 100},
    }
    (call,) = own.chat(**asked).message.tool_calls
    judge(call.function.name, dict(call.function.arguments))
    pieces = list(own.chat(**asked, stream=True))
    (streamed,) = (c for p in pieces for c in p.message.tool_calls or [])
    assert streamed == call
    assert pieces[-1].done_reason == "stop"
