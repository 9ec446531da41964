# SPDX-License-Identifier: Apache-2.0
"""The last step of the Python piece: no tests, no programs, everything compiled.

Compiled without times, because a piece is never edited; 'python3 finish.py SITE-PACKAGES'.
"""

import compileall
import py_compile
import shutil
import sys
from pathlib import Path

folder = Path(sys.argv[1])
shutil.rmtree(folder / "bin", ignore_errors=True)
for tests in list(folder.glob("numpy/**/tests")):
    shutil.rmtree(tests)
whole = compileall.compile_dir(
    folder,
    maxlevels=32,
    quiet=1,
    workers=0,
    stripdir=str(folder),
    invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
)
sys.exit(not whole)
