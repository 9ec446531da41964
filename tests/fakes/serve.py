# SPDX-License-Identifier: Apache-2.0
"""Stands in for engine/…/python/serve.py, where a test puts it: the fake llama-server, which has
the paths of llama_cpp.server alone, and one slot."""

import argparse
import json
import os
from pathlib import Path

PROGRAM = "@ROOT@/tests/fakes/llama-server"
PATHS = "/v1/models /v1/chat/completions /v1/completions /v1/embeddings"

parser = argparse.ArgumentParser()
for name in ("--packages", "--host", "--alias", "--model", "--device", "--options"):
    parser.add_argument(name, required=True)
args = parser.parse_args()
options = json.loads(args.options)
assert Path(args.packages, "needed.py").is_file(), "the server's packages are not there"
words = [PROGRAM, "--host", args.host, "--alias", args.alias, "--model", args.model]
words += ["--device", args.device, "--parallel", "1", "--ctx-size", str(options["n_ctx"])]
words += ["-lv", "4"] + ["--embeddings"] * (options["mode"] == "embedding")
os.environ["FAKE_ONLY"] = PATHS
os.execv(PROGRAM, words)
