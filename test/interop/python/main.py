"""Lets a snippet judge the tokens on standard input. See ../README.md."""

import importlib
import json
import os
import sys

snippet = importlib.import_module(sys.argv[1])
more = {}
if "MAX_STALENESS" in os.environ:
    more["max_staleness"] = float(os.environ["MAX_STALENESS"])
if "CLIENT_ID" in os.environ:
    more["client"] = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
verify = snippet.create_verifier(os.environ["ISSUER"], os.environ["AUDIENCE"], **more)
for line in sys.stdin:
    case = json.loads(line)
    verdict = {"name": case["name"], "accepted": True}
    try:
        verify(case["token"])
    except Exception as error:
        verdict |= {"accepted": False, "error": f"{type(error).__name__}: {error}"[:200]}
    print(json.dumps(verdict), flush=True)
