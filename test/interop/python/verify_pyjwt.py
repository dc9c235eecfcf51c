import json
import re
import urllib.request

import jwt

SHAPE = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
ACCESS_TOKEN_TYPES = ("at+jwt", "application/at+jwt")
REQUIRED = ["iss", "sub", "aud", "client_id", "iat", "exp", "jti"]


def create_verifier(issuer, audience):
    """Call it once, at the start: it keeps the keys. What it returns gives the claims of a token, or raises."""
    # PyJWT has no discovery of its own.
    with urllib.request.urlopen(f"{issuer}/.well-known/oauth-authorization-server", timeout=5) as reply:
        metadata = json.load(reply)
    if metadata["issuer"] != issuer:
        raise ValueError("these are the metadata of another issuer")
    keys = jwt.PyJWKClient(metadata["jwks_uri"], lifespan=300, timeout=5)

    def verify(token):
        if len(token) > 8192 or not SHAPE.fullmatch(token):
            raise jwt.DecodeError("not three parts in base64url")
        decoded = jwt.decode_complete(
            token,
            keys.get_signing_key_from_jwt(token),
            algorithms=["RS256"],
            issuer=issuer,
            audience=audience,
            leeway=30,
            options={"require": REQUIRED},
        )
        claims = decoded["payload"]
        # Else any other JWT of this issuer would pass for an access token.
        if str(decoded["header"].get("typ")).lower() not in ACCESS_TOKEN_TYPES:
            raise jwt.InvalidTokenError("not an access token")
        # Bound to a key (RFC 9449): without a proof of it, which is not looked at here, it may be stolen.
        if "cnf" in claims:
            raise jwt.InvalidTokenError("bound to a key")
        # PyJWT takes a time that is a text for a number.
        if any(isinstance(claims.get(name), str) for name in ("iat", "exp", "nbf")):
            raise jwt.InvalidTokenError("a time is not a number")
        return claims

    return verify
