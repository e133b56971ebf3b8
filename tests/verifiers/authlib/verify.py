# Authlib's OpenID Connect client, where it reads the ID token of a login: discovery, key set, token. It
# keeps the set for good and fetches it again for an unknown kid.
import importlib.metadata
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "lib"))
from answer import answer, fetched

from authlib.integrations.base_client.sync_openid import OpenIDMixin
from authlib.oidc.core import CodeIDToken


class Client(OpenIDMixin):
    """The mixin with its metadata fetched by urllib, not by an integration's HTTP client."""

    def __init__(self, issuer, client_id):
        self.client_id = client_id
        self.metadata = json.loads(fetched(f"{issuer.rstrip('/')}/.well-known/openid-configuration"))

    def load_server_metadata(self):
        return self.metadata

    def fetch_jwk_set(self, force=False):
        if force or "jwks" not in self.metadata:
            self.metadata["jwks"] = json.loads(fetched(self.metadata["jwks_uri"]))
        return self.metadata["jwks"]


def verifier(issuer, jwks, audience):
    client = Client(issuer, audience)
    options = {"iss": {"values": [issuer]}, "aud": {"essential": True, "value": audience}}

    def verify(token):
        client.parse_id_token({"id_token": token}, nonce=None, claims_options=options, claims_cls=CodeIDToken)

    return verify


answer(f"Authlib {importlib.metadata.version('authlib')} with joserfc {importlib.metadata.version('joserfc')}", verifier)
