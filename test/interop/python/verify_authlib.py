import json
import re
import threading
import time
import urllib.request

from authlib.oauth2.rfc6750 import InvalidTokenError
from authlib.oauth2.rfc9068 import JWTBearerTokenValidator
from joserfc.jwk import KeySet

SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


def download(url):
    with urllib.request.urlopen(url, timeout=5) as reply:
        return json.load(reply)


class AccessTokenValidator(JWTBearerTokenValidator):
    """Fetches the keys every five minutes and keeps them, which Authlib leaves to us."""

    keys = None
    fetched = 0.0
    lock = threading.Lock()

    def get_jwks(self):
        with self.lock:
            if self.keys is None or time.monotonic() - self.fetched > 300:
                try:
                    metadata = download(f"{self.issuer}/.well-known/oauth-authorization-server")
                    if metadata["issuer"] != self.issuer:
                        raise ValueError("these are the metadata of another issuer")
                    self.keys = KeySet.import_key_set(download(metadata["jwks_uri"]))
                except OSError:
                    # The issuer is away for a while: the keys that we have are still good.
                    if self.keys is None:
                        raise
                self.fetched = time.monotonic()
            return self.keys


def create_verifier(issuer, audience):
    """Call it once, at the start: it keeps the keys. What it returns gives the claims of a token, or raises."""
    validator = AccessTokenValidator(issuer, audience)

    def verify(token):
        if len(token) > 8192 or not SHAPE.fullmatch(token):
            raise InvalidTokenError("not three parts in base64url")
        claims = validator.authenticate_token(token)
        # Authlib refuses another type, but not a missing one, and extensions only if it does not know their names.
        if "typ" not in claims.header or "crit" in claims.header:
            raise InvalidTokenError("not an access token, or one with an extension")
        # Bound to a key (RFC 9449): without a proof of it, which is not looked at here, it may be stolen.
        if "cnf" in claims:
            raise InvalidTokenError("bound to a key")
        # Else the token of a user without roles is refused.
        for name in ("roles", "scope"):
            claims.options[name]["allow_blank"] = True
        # Instead of validator.validate_token(), which allows clocks no difference.
        claims.validate(leeway=30)
        return claims

    return verify
