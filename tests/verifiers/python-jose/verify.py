# python-jose, as FastAPI's readers have it. It fetches nothing: the program does, for each token.
import importlib.metadata
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from answer import answer, fetched

from jose import jwt


def verifier(issuer, jwks, audience):
    def verify(token):
        keys = json.loads(fetched(jwks))
        # It would want the access token to compare `at_hash` with; nobody has it here.
        jwt.decode(token, keys, algorithms=["RS256"], audience=audience, issuer=issuer, options={"verify_at_hash": False})

    return verify


answer(f"python-jose {importlib.metadata.version('python-jose')}", verifier)
