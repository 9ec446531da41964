# SPDX-License-Identifier: Apache-2.0
"""What every tier needs: which binary is tested."""

import os
from pathlib import Path

import pytest

from daemon import ROOT


@pytest.fixture(scope="session")
def shunt_binary() -> Path:
    """The daemon and command under test: $SHUNT_BINARY, or the dev build."""
    binary = Path(os.environ.get("SHUNT_BINARY", ROOT / "build/dev/shunt"))
    assert binary.is_file(), f"{binary} is not built; scripts/test builds it"
    return binary
