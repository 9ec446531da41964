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
    paths = ("/llm/api/models", "/llm/api/models/{id}/estimate")
    bodies = [raw_schema["paths"][path]["post"]["requestBody"]["content"] for path in paths]
    for schema in (
        raw_schema["components"]["schemas"]["ModelOptions"],
        *(body["application/json"]["schema"] for body in bodies),
    ):
        schema["properties"]["mmproj"] = {"type": "null"}
