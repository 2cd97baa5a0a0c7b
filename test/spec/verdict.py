"""What decoder.py says of files, and whether encoder.py turns what was read into the same bytes.

    python3 verdict.py FILE...     one line of JSON per file
    python3 verdict.py --hex       the same for hexadecimal text on standard input, one file per line
"""

import sys

sys.dont_write_bytecode = True  # before the two below, which are not to leave anything behind

import hashlib
import json
import pathlib

from decoder import Refused, read_file
from encoder import write_file


def verdict(data):
    """What there is to say about some bytes, as a dictionary."""
    try:
        file = read_file(data)
    except Refused as refused:
        return {"ok": False, "code": refused.code, "offset": refused.offset}
    return {
        "ok": True,
        "network": file["graph"]["name"],
        "tensors": [
            {"name": name, "shape": shape, "sha256": hashlib.sha256(numbers).hexdigest()}
            for name, shape, numbers in file["tensors"]
        ],
        "rewritten": write_file(file) == data,
    }


def main(arguments):
    if arguments == ["--hex"]:
        for line in sys.stdin:
            print(json.dumps(verdict(bytes.fromhex(line))), flush=True)
        return 0
    if not arguments or arguments[0].startswith("-"):
        print("usage: verdict.py FILE... | verdict.py --hex < lines", file=sys.stderr)
        return 2
    accepted = True
    for name in arguments:
        found = verdict(pathlib.Path(name).read_bytes())
        accepted = accepted and found["ok"]
        print(json.dumps({"file": name, **found}))
    return 0 if accepted else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
