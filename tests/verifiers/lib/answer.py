"""What the Python verifiers have in common: a question a line in, an answer a line out (README.md).
The same address is the same verifier, with what it has cached."""

import json
import sys
import urllib.request


def fetched(url):
    with urllib.request.urlopen(url, timeout=10) as answer:
        return answer.read()


def answer(version, make):
    """`make` gives a function that raises for a token the verifier refuses."""
    if sys.argv[1:] == ["--version"]:
        print(version)
        return
    verifiers = {}
    for line in sys.stdin:
        question = json.loads(line)
        address = (question["issuer"], question["jwks"], question["audience"])
        try:
            if address not in verifiers:
                verifiers[address] = make(*address)
            verifiers[address](question["token"])
            said = {"accepted": True, "message": ""}
        except Exception as error:  # whatever it raises is its refusal
            said = {"accepted": False, "message": f"{type(error).__name__}: {error}"}
        print(json.dumps(said), flush=True)
