# jwcrypto. It fetches nothing: the program does, for each token.
import importlib.metadata
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from answer import answer, fetched

from jwcrypto import jwk, jwt


def verifier(issuer, jwks, audience):
    def verify(token):
        keys = jwk.JWKSet.from_json(fetched(jwks))
        jwt.JWT(jwt=token, key=keys, check_claims={"iss": issuer, "aud": audience, "exp": None})

    return verify


answer(f"jwcrypto {importlib.metadata.version('jwcrypto')}", verifier)
