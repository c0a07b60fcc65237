"""How long ``unetzoo demo`` takes, from the command to its table, in a folder of its own.

    python benchmarks/demo.py [avx2]

With "avx2" it uses no wider vector units, which stands in for a processor without them.
"""

import os
import re
import subprocess
import sys
import tempfile
import time

from machine import NARROW, heading


def main(*words):
    os.environ.update(NARROW if "avx2" in words else {})
    print(heading("keras", "tensorflow"), end="\n\n")
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        done = subprocess.run(
            [sys.executable, "-m", "unetzoo", "demo", "-o", folder],
            capture_output=True,
            text=True,
            check=True,
        )
        seconds = time.perf_counter() - begun
    said = re.search(r"about (.*) on this machine", done.stderr)
    print(f"unetzoo demo: {seconds:.0f} s; it said about {said[1]} for its training\n")
    print("\n".join(done.stdout.splitlines()[:4]))


if __name__ == "__main__":
    main(*sys.argv[1:])
