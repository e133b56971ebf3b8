# joserfc. It fetches nothing: the program does, for each token.
import importlib.metadata
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from answer import answer, fetched

from joserfc import jwt
from joserfc.jwk import KeySet


def verifier(issuer, jwks, audience):
    claims = jwt.JWTClaimsRegistry(
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": audience},
        exp={"essential": True},
    )

    def verify(token):
        keys = KeySet.import_key_set(json.loads(fetched(jwks)))
        claims.validate(jwt.decode(token, keys).claims)

    return verify


answer(f"joserfc {importlib.metadata.version('joserfc')}", verifier)
