import verify_pyjwt
from revocations import Revocations


def create_verifier(issuer, audience, max_staleness=10, client=None):
    """Call it once, at the start. What it returns gives the claims of a token, or raises."""
    verify = verify_pyjwt.create_verifier(issuer, audience)
    revocations = Revocations(issuer, max_staleness, client)

    def verify_and_check(token):
        claims = verify(token)
        revocations.check(token, claims)
        return claims

    return verify_and_check
