# PyJWT with its PyJWKClient, as its documentation has it.
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from answer import answer

import jwt


def verifier(issuer, jwks, audience):
    client = jwt.PyJWKClient(jwks)

    def verify(token):
        key = client.get_signing_key_from_jwt(token)
        jwt.decode(token, key, algorithms=["RS256"], audience=audience, issuer=issuer)

    return verify


answer(f"PyJWT {jwt.__version__}", verifier)
