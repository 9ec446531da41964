# SPDX-License-Identifier: Apache-2.0
"""What schemathesis cannot know: which files there are."""

import os
from pathlib import Path

import schemathesis
from hypothesis import strategies as st

FILES = os.environ["SHUNT_TEST_FILES"].split(":")

schemathesis.openapi.format("path", st.sampled_from(FILES))
schemathesis.openapi.format("folder", st.sampled_from(sorted({str(Path(f).parent) for f in FILES})))


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """A projector is another kind of file, of which there is none here."""
    add = raw_schema["paths"]["/llm/api/models"]["post"]["requestBody"]["content"]
    for schema in (
        raw_schema["components"]["schemas"]["ModelOptions"],
        add["application/json"]["schema"],
    ):
        schema["properties"]["mmproj"] = {"type": "null"}
