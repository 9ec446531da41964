# SPDX-License-Identifier: Apache-2.0
"""A real generation with the test model, for Shunt to judge: 'python verify.py FOLDER'.

Prints, line by line, what llama-server would answer to the same questions, and a line every now
and then as long as it computes: without one it is given up.
"""

import json
import math
import sys
import threading
import time
from pathlib import Path

import llama_cpp
import llama_cpp.mtmd_cpp  # finds its library


def show_life():
    used = 0.0
    while True:
        time.sleep(2)
        if time.process_time() - used > 0.5:
            used = time.process_time()
            print("alive", flush=True)


def answer(model):
    logits = llama_cpp.llama_get_logits_ith(model.ctx, -1)[: model.n_vocab()]
    top = max(logits)
    total = math.log(sum(math.exp(x - top) for x in logits)) + top
    # NaN would not be JSON.
    known = [x - total if math.isfinite(x - total) else None for x in logits]
    tokens = [{"id": i, "logprob": p} for i, p in enumerate(known)]
    print(json.dumps({"completion_probabilities": [{"top_logprobs": tokens}]}), flush=True)


threading.Thread(target=show_life, daemon=True).start()
folder = Path(sys.argv[1])
question = json.loads((folder / "question.json").read_text(encoding="utf-8"))
model = llama_cpp.Llama(
    str(folder / "model.gguf"),
    n_gpu_layers=-1,
    n_ctx=1024,
    n_batch=512,
    n_ubatch=512,
    flash_attn=True,
    verbose=True,
)
known = 0
for step in question["steps"]:
    model.eval(question["tokens"][known:step])
    known = step
    answer(model)
said = model.create_completion(question["tokens"][:8], max_tokens=4, temperature=0)
print(f"said: {said['usage']['completion_tokens']}", flush=True)
