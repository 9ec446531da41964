# SPDX-License-Identifier: Apache-2.0
"""A worker in Python: llama_cpp.server, with what llama-server has and it lacks.

Speaks to Shunt as llama-server does to its router: how far loading is, on stdout; told to end on
stdin, and dies when that ends.
"""

import argparse
import asyncio
import contextvars
import ctypes
import json
import math
import os
import sys
import threading
import time
from pathlib import Path

parser = argparse.ArgumentParser()
parser.add_argument("--packages", required=True, help="what llama_cpp.server needs besides")
parser.add_argument("--host", required=True, help="Unix socket to listen on")
parser.add_argument("--alias", required=True)
parser.add_argument("--model", required=True)
parser.add_argument("--device", required=True, help="none, Vulkan0, CUDA0,CUDA1")
parser.add_argument("--options", required=True, help="a JSON object, in Shunt's names")
args = parser.parse_args()
options = json.loads(args.options)
sys.path.append(args.packages)  # behind what the user has installed

# Shunt's options that are fields of llama_cpp.server's under another name, or the same.
MODEL_FIELDS = {
    "n_ctx": "n_ctx",
    "n_gpu_layers": "n_gpu_layers",
    "n_batch": "n_batch",
    "threads": "n_threads",
    "rope_freq_base": "rope_freq_base",
    "rope_freq_scale": "rope_freq_scale",
    "rope_yarn_orig_ctx": "yarn_orig_ctx",
    "repeat_last_n": "last_n_tokens_size",
    "chat_template_kwargs": "chat_template_kwargs",
}
REQUEST_FIELDS = (
    "temperature",
    "top_k",
    "top_p",
    "min_p",
    "repeat_penalty",
    "presence_penalty",
    "frequency_penalty",
    "seed",
)
ROPE_SCALINGS = {"none": 0, "linear": 1, "yarn": 2}  # enum llama_rope_scaling_type
CACHE_TYPES = {  # enum ggml_type; the binding lacks some
    "f32": 0,
    "f16": 1,
    "bf16": 30,
    "q8_0": 8,
    "q5_1": 7,
    "q5_0": 6,
    "q4_1": 3,
    "q4_0": 2,
    "iq4_nl": 20,
}

SPLIT_MODES = {"layer": 1, "tensor": 3}  # enum llama_split_mode; the binding lacks one

client_left = contextvars.ContextVar("client_left", default=None)
kept = []  # what llama.cpp has pointers to
servers = []  # of uvicorn, once the model is loaded


def tell(state, **payload):
    message = json.dumps({"state": state, "payload": payload}, separators=(",", ":"))
    print(f"cmd_child_to_router:state:{message}", flush=True)


def listen():
    """Ends with whoever holds the other end of stdin, or when told to."""
    for line in sys.stdin:
        if line.strip() == "cmd_router_to_child:exit":
            stop()
    os._exit(1)


def stop():
    if not servers:
        os._exit(0)
    servers[0].should_exit = True


def cores():
    """Those that compute: two threads of one share it."""
    cpus = Path("/sys/devices/system/cpu")
    names = [cpus / f"cpu{n}/topology/thread_siblings_list" for n in os.sched_getaffinity(0)]
    try:
        return len({name.read_text() for name in names})
    except OSError:
        return len(names)


def steer_loading(llama_cpp):
    """Llama() takes neither a list of devices nor someone to tell how far it is."""
    library = llama_cpp.llama_cpp
    defaults = library.llama_model_default_params
    told = 0.0

    @library.llama_progress_callback
    def on_progress(fraction, _):
        nonlocal told
        if fraction - told >= 0.01 or fraction == 1:
            told = fraction
            tell("loading", value=round(fraction, 3))
        return True

    def steered():
        params = defaults()
        params.progress_callback = on_progress
        if args.device != "none":
            params.devices = ctypes.cast(devices, ctypes.c_void_p)
        return params

    if args.device != "none":
        find = ctypes.CDLL(f"{sys.prefix}/python/llama_cpp/lib/libggml.so").ggml_backend_dev_by_name
        find.restype = ctypes.c_void_p
        find.argtypes = [ctypes.c_char_p]
        names = args.device.split(",")
        found = [find(name.encode()) for name in names]
        if None in found:
            sys.exit(f"error: invalid device: {names[found.index(None)]}")
        devices = (ctypes.c_void_p * (len(found) + 1))(*found, None)
        kept.append(devices)
    kept.append(on_progress)
    library.llama_model_default_params = steered


def log_as_llama_server(llama_cpp):
    """What Shunt reads, and not each node of the graph: the binding has other numbers for levels
    than this llama.cpp."""
    debug, goes_on = 1, 5
    last = 0

    @llama_cpp.llama_log_callback
    def on_log(level, text, _):
        nonlocal last
        last = last if level == goes_on else level
        if last != debug:
            sys.stderr.write(text.decode(errors="replace"))

    kept.append(on_log)
    llama_cpp.llama_log_set(on_log, None)


def steer_requests(types):
    """Before the routes are made of these classes: what a request does not say is as the options
    say, and OpenAI's word for an answer by a schema is understood."""
    from pydantic import model_validator

    class Chat(types.CreateChatCompletionRequest):
        @model_validator(mode="before")
        @classmethod
        def take_schema(cls, data):
            form = data.get("response_format") if isinstance(data, dict) else None
            if isinstance(form, dict) and form.get("type") == "json_schema":
                named = form.get("json_schema")
                schema = named.get("schema") if isinstance(named, dict) else None
                form = {"type": "json_object", "schema": schema or form.get("schema") or {}}
                data = {**data, "response_format": form}
            return data

    types.CreateChatCompletionRequest = Chat
    defaults = {"seed": -1, **options}  # else each load tells the same stories
    for request in (types.CreateCompletionRequest, Chat):
        for name in REQUEST_FIELDS:
            if name in defaults:
                request.model_fields[name].default = defaults[name]
        request.model_rebuild(force=True)


def steer_errors(RouteErrorHandler):
    """What is wrong with a request is the client's, and its text is nobody else's."""
    from fastapi.exceptions import RequestValidationError

    explain = RouteErrorHandler.error_message_wrapper

    def explain_well(self, error, body=None):
        if isinstance(error, RequestValidationError):
            faults = (
                f"{'.'.join(str(part) for part in one['loc'][1:])}: {one['msg']}"
                for one in error.errors()
            )
            message = "; ".join(faults)[:300]
        elif isinstance(error, AssertionError):
            message = "runtime python takes one prompt at a time"
        elif isinstance(error, ValueError) and " exceed batch size " in str(error):
            message = str(error)
        else:
            return explain(self, error, body)
        kind = "invalid_request_error"
        return 400, {"message": message, "type": kind, "param": None, "code": None}

    RouteErrorHandler.error_message_wrapper = explain_well


def steer_answers(Llama):
    """An answer ends when its client has gone, and shows that it gets on; embeddings are as
    llama-server's."""
    generate, embed = Llama.generate, Llama.embed

    def generate_for_client(self, *args, **kwargs):
        left = client_left.get()
        told = time.monotonic()
        for token in generate(self, *args, **kwargs):
            if left and left.is_set():
                return
            if time.monotonic() - told > 1:
                told = time.monotonic()
                tell("computing")
            yield token

    def embed_normalised(self, input, return_count=False, **_):
        return embed(self, input, normalize=True, truncate=False, return_count=return_count)

    Llama.generate = generate_for_client
    Llama.embed = embed_normalised


class Watched:
    """ASGI: notices that a client has gone while its answer is computed in a thread."""

    def __init__(self, app):
        self.app = app

    async def __call__(self, scope, receive, send):
        left = threading.Event()
        watch = None

        async def until_it_leaves():
            while (await receive())["type"] != "http.disconnect":
                pass
            left.set()

        async def receive_and_watch():
            nonlocal watch
            message = await receive()
            if message["type"] == "http.request" and not message.get("more_body") and not watch:
                watch = asyncio.create_task(until_it_leaves())
            return message

        client_left.set(left)
        try:
            await self.app(scope, receive_and_watch, send)
        finally:
            if watch:
                watch.cancel()


def model_settings(ModelSettings):
    embedding = options["mode"] == "embedding"
    fields = {field: options[name] for name, field in MODEL_FIELDS.items() if name in options}
    threads = fields.setdefault("n_threads", cores())
    scale = options.get("rope_scale")
    if args.device != "none" and "tensor_split" in options:
        fields["tensor_split"] = options["tensor_split"]
    if args.device != "none" and "split_mode" in options:
        fields["split_mode"] = SPLIT_MODES[options["split_mode"]]
    return ModelSettings(
        **fields,
        **({"rope_freq_scale": 1 / scale} if scale else {}),
        model=args.model,
        model_alias=args.alias,
        n_threads_batch=threads,
        n_ubatch=options["n_batch"],
        rope_scaling_type=ROPE_SCALINGS.get(options.get("rope_scaling"), -1),
        flash_attn=options["flash_attn"] == "on",
        type_k=CACHE_TYPES[options["cache_type_k"]],
        type_v=CACHE_TYPES[options["cache_type_v"]],
        use_mlock=False,
        logits_all=False,  # n_ctx rows of as many numbers as there are words
        embedding=embedding,
        verbose=True,
    )


def check(llama_cpp, model):
    """A device that computes NaN answers too."""
    model.eval(model.tokenize(b"Hello"))
    row = llama_cpp.llama_get_logits_ith(model.ctx, -1)
    if not all(math.isfinite(row[i]) for i in range(model.n_vocab())):
        sys.exit("it computes numbers that are none (NaN)")
    model.reset()


def main():
    import llama_cpp
    import uvicorn
    from llama_cpp.server import types

    if not llama_cpp.__file__.startswith(f"{sys.prefix}/python/"):
        sys.exit("error: this environment has another llama_cpp: pip uninstall llama-cpp-python")
    steer_loading(llama_cpp)
    log_as_llama_server(llama_cpp)
    steer_requests(types)
    steer_answers(llama_cpp.Llama)
    from llama_cpp.server import app as served
    from llama_cpp.server.errors import RouteErrorHandler
    from llama_cpp.server.settings import ModelSettings, ServerSettings

    steer_errors(RouteErrorHandler)
    # By default a request cuts the answer that is running.
    server_settings = ServerSettings(interrupt_requests=False)
    app = served.create_app(
        server_settings=server_settings,
        model_settings=[model_settings(ModelSettings)],
    )
    model = served._llama_proxy()
    if options["mode"] != "embedding":
        check(llama_cpp, model)
    model.model_path = args.alias  # what an answer is called whose question names no model
    config = uvicorn.Config(
        Watched(app),
        uds=args.host,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=1,
    )
    servers.append(uvicorn.Server(config))
    tell("ready")
    servers[0].run()
    os._exit(0)  # a thread may still compute


threading.Thread(target=listen, daemon=True).start()
main()
