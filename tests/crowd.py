# SPDX-License-Identifier: Apache-2.0
"""A crowd of clients that ask one model all the time; every answer is judged as a whole."""

import http.client
import itertools
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from daemon import Daemon, wait_until


class Wrong(Exception):
    """An answer that is not what was asked for."""


def need(true, what: str) -> None:
    if not true:
        raise Wrong(what)


class Ask(NamedTuple):
    chat: bool
    stream: bool
    prompt: str
    tokens: int

    @property
    def path(self) -> str:
        return "/v1/chat/completions" if self.chat else "/v1/completions"

    def body(self, model: str, more: dict) -> str:
        body = {"model": model, "max_tokens": self.tokens, "temperature": 0, **more}
        if self.chat:
            body["messages"] = [{"role": "user", "content": self.prompt}]
        else:
            body["prompt"] = self.prompt
        if self.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        return json.dumps(body)


@dataclass
class Answer:
    """Times are of the wall clock, as a task's are."""

    ask: Ask
    began: float
    pieces: list[tuple[float, str]] = field(default_factory=list)
    ended: float = 0
    finish: str = ""
    usage: dict = field(default_factory=dict)
    backend: str | None = None  # the judge's word; None: it can't tell

    @property
    def text(self) -> str:
        return "".join(text for _, text in self.pieces)

    @property
    def waited(self) -> float:
        """Until the first text."""
        return self.pieces[0][0] - self.began


Judge = Callable[[Answer], str | None]


def fake_judge(said: Answer) -> str:
    """What tests/fakes/llama-server must have said, and which backend did."""
    backend, _, _ = said.text.partition(" ")
    words = said.ask.prompt.split()
    told = [f" {word}" for word in words[-16:]]
    story = itertools.chain([backend, " says:"], itertools.cycle(told))
    wanted = "".join(itertools.islice(story, said.ask.tokens))
    need(backend in ("cpu", "vulkan", "cuda", "rocm"), f"no backend's answer: {said.text!r}")
    need(said.text == wanted, f"{said.text!r} instead of {wanted!r}")
    need(said.finish == "length", f"finish_reason {said.finish!r}")
    made, given = said.usage["completion_tokens"], said.usage["prompt_tokens"]
    need(made == said.ask.tokens, f"{made} tokens counted instead of {said.ask.tokens}")
    need(given == len(words), f"a prompt of {given} tokens instead of {len(words)}")
    return backend


# --- reading ----------------------------------------------------------------------------------


def events(response: http.client.HTTPResponse) -> Iterator[str]:
    """The data of server-sent events, to the end of the body; comments are fine."""
    while line := response.readline():
        need(line.endswith(b"\n"), f"a line is cut: {line!r}")
        if line == b"\n" or line.startswith(b":"):
            continue
        need(line.startswith(b"data: "), f"no event: {line!r}")
        yield line[6:-1].decode()


def take_choice(said: Answer, choice: dict, text: str | None) -> None:
    need(not said.finish, f"something follows the end: {choice}")
    if text:
        said.pieces.append((time.time(), text))
    said.finish = choice["finish_reason"] or ""


def read_stream(response: http.client.HTTPResponse, said: Answer, model: str) -> None:
    ids, done = set(), False
    for data in events(response):
        need(not done, f"something follows [DONE]: {data}")
        done = data == "[DONE]"
        if done:
            continue
        chunk = json.loads(data)
        need("error" not in chunk, f"an error in the stream: {data}")
        need(chunk["model"] == model, f"another model: {data}")
        ids.add(chunk["id"])
        for choice in chunk["choices"]:
            text = choice["delta"].get("content") if said.ask.chat else choice["text"]
            take_choice(said, choice, text)
        if "usage" in chunk:
            need(not said.usage, "usage twice")
            said.usage = chunk["usage"]
    need(done, f"no [DONE] after {said.text!r}")
    need(len(ids) == 1, f"ids {ids} in one stream")


def read_whole(response: http.client.HTTPResponse, said: Answer, model: str) -> None:
    body = json.loads(response.read())
    need(body["model"] == model, f"another model: {body}")
    (choice,) = body["choices"]
    take_choice(said, choice, choice["message"]["content"] if said.ask.chat else choice["text"])
    said.usage = body["usage"]


# --- the crowd --------------------------------------------------------------------------------


def mixed_asks(client: int) -> Iterator[Ask]:
    """No two prompts are the same, so that nobody can get another's answer unseen."""
    for n in itertools.count(client):
        prompt = f"client {client} asks for the {n}th time about nothing"
        yield Ask(chat=n % 4 != 3, stream=n % 2 == 0, prompt=prompt, tokens=3 + n * 7 % 23)


class Crowd:
    """with Crowd(daemon, model) as crowd: … crowd.answers, crowd.failures."""

    def __init__(
        self,
        server: Daemon,
        model: str,
        clients: int = 16,
        judge: Judge = fake_judge,
        asks: Callable[[int], Iterator[Ask]] = mixed_asks,
        pause: float = 0,
        **body,
    ):
        """server: anything that has a port. pause: what a client thinks between two requests, in
        seconds. body: more for each."""
        self.port, self.model, self.judge, self.more = server.port, model, judge, body
        self.pause = pause
        self.answers: list[Answer] = []
        self.failures: list[str] = []
        self.leaving = threading.Event()
        self.threads = [
            threading.Thread(target=self.client, args=(asks(n),), daemon=True)
            for n in range(clients)
        ]

    def __enter__(self) -> "Crowd":
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_) -> None:
        self.leaving.set()
        for thread in self.threads:
            thread.join(60)
            assert not thread.is_alive(), "a client waits for ever"

    def client(self, asks: Iterator[Ask]) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        dice = random.Random(id(asks))
        for ask in asks:
            if self.leaving.wait(self.pause * dice.uniform(0, 2)):
                break
            said = Answer(ask, time.time())
            try:
                self.converse(connection, said)
                self.answers.append(said)
            except (OSError, Wrong, http.client.HTTPException, ValueError, LookupError) as e:
                self.failures.append(f"{ask}, {time.time() - said.began:.3f} s: {e!r}")
                connection.close()
                self.leaving.wait(0.02)
        connection.close()

    def converse(self, connection: http.client.HTTPConnection, said: Answer) -> None:
        model = self.model  # the next request may be for another
        body, headers = said.ask.body(model, self.more), {"Content-Type": "application/json"}
        connection.request("POST", said.ask.path, body, headers)
        response = connection.getresponse()
        if response.status != 200:
            raise Wrong(f"{response.status}: {response.read()!r}")
        read = read_stream if said.ask.stream else read_whole
        read(response, said, model)
        said.ended = time.time()
        said.backend = self.judge(said)

    def wait(self, total: int = 0, since: float = 0, fresh: int = 0) -> None:
        """Until there are so many answers, so many of them to requests that began after since."""
        at = 0

        def enough() -> bool:
            nonlocal at, fresh
            while at < len(self.answers) and fresh > 0:
                fresh -= self.answers[at].began > since
                at += 1
            return (fresh <= 0 and len(self.answers) >= total) or bool(self.failures)

        wait_until(enough, 60, f"{total} answers")

    # --- figures ------------------------------------------------------------------------------

    def longest_wait(self) -> float:
        return max(said.waited for said in self.answers)

    def longest_gap(self) -> float:
        """The longest time in which nobody got anything."""
        times = sorted(at for said in self.answers for at, _ in said.pieces)
        return max(b - a for a, b in itertools.pairwise(times))

    def figures(self) -> str:
        return f"longest wait {self.longest_wait():.3f} s, gap {self.longest_gap():.3f} s"


# --- switches ---------------------------------------------------------------------------------


class Switch(NamedTuple):
    backend: str
    asked: float
    finished: float  # by its task
    task: dict


def timestamp(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def switch(daemon: Daemon, model: str, backend: str) -> Switch:
    path = f"/llm/api/models/{model}/switch-backend"
    while True:
        asked = time.time()
        answer = daemon.http.post(path, json={"gpu_backend": backend, "reload": True})
        if answer.status_code != 409:
            break
        # A request may be loading the model just now, and its task stands in the way.
        loading = re.search(r"by task ([0-9a-f]{16}) \(load\)", answer.text)
        assert loading, answer.text
        daemon.wait_task(loading[1], 120)
    assert answer.status_code == 202, answer.text
    task = daemon.wait_task(answer.json()["task_id"], 120)
    assert task["state"] == "succeeded", task
    return Switch(backend, asked, timestamp(task["finished"]), task)


def judge_times(answers: list[Answer], switches: list[Switch]) -> tuple[list[str], int]:
    """Answers from a backend whose switch was not asked for yet, or that another switch's task had
    said was gone before the request was made; and how many requests only one backend could
    have answered. The first switch is the one before the crowd came."""
    ms = 0.001  # a task's time is cut to milliseconds
    gone = [s.finished + ms for s in switches[1:]] + [float("inf")]
    periods = list(zip(switches, gone, strict=True))
    wrong, decisive = [], 0
    for said in answers:
        may = {s.backend for s, end in periods if s.asked <= said.ended and said.began <= end}
        decisive += len(may) == 1
        if said.backend not in may:
            wrong.append(f"{said.ask} at {said.began:.3f}: from {said.backend}, not {may}")
    return wrong, decisive
