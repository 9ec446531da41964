# SPDX-License-Identifier: Apache-2.0
"""The build backend of llama-cpp-python as far as `pip download` needs it.

pip wants a source distribution's metadata before it lets go of the archive. With the real backend
that means installing it and asking CMake: 47 s. The metadata stands in PKG-INFO anyway. Found
through PYTHONPATH, with --no-build-isolation. Builds nothing.
"""

from email.parser import HeaderParser
from pathlib import Path


def get_requires_for_build_wheel(config_settings=None):
    return []


def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
    text = Path("PKG-INFO").read_text(encoding="utf-8")
    fields = HeaderParser().parsestr(text)
    folder = f"{fields['Name'].replace('-', '_')}-{fields['Version']}.dist-info"
    (Path(metadata_directory) / folder).mkdir()
    (Path(metadata_directory) / folder / "METADATA").write_text(text, encoding="utf-8")
    return folder


def build_wheel(wheel_directory, config_settings=None, metadata_directory=None):
    raise RuntimeError("this backend only names the package")
