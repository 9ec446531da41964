# SPDX-License-Identifier: Apache-2.0
import re
import subprocess


def test_version_is_one_line(shunt_binary):
    done = subprocess.run([shunt_binary, "version"], capture_output=True, text=True, timeout=10)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"shunt \d+\.\d+\.\d+\n", done.stdout)
