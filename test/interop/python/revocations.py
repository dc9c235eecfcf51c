import base64
import logging
import math
import random
import threading
import time
import urllib.request

import jwt

SILENCE = 5  # seconds. The stream has a heartbeat every two.
CLOCKS_APART = 30
MEMORY = 120  # seconds. What is known of how quick messages are.

log = logging.getLogger("revocations")


def clocks():
    return time.monotonic(), time.time()


class Revoked(jwt.InvalidTokenError):
    """Answer 401, as for any other bad token."""


class Stale(Exception):
    """The issuer has not been heard for too long, which says nothing about the token. Answer 503, Retry-After: 1."""


class Revocations:
    """Follows in the background what the issuer revokes. One for each process, made after it has forked.

    It waits for a first view, for five seconds at most: without one, check() raises Stale until there is.
    client: (id, secret) of a service client, which has places of its own among the streams.
    """

    def __init__(self, issuer, max_staleness=10, client=None):
        self.issuer, self.max_staleness = issuer, max_staleness
        self.url = f"{issuer}/.well-known/revocations"
        self.stream = urllib.request.Request(f"{self.url}/stream")
        if client:
            basic = base64.b64encode(":".join(client).encode()).decode()
            # It must not go where a redirect leads.
            self.stream.add_unredirected_header("Authorization", f"Basic {basic}")
        self.keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json", lifespan=300, timeout=SILENCE)
        # What was revoked: up to which "iat" of tokens, and how long that has to be remembered.
        self.entries = {}
        # All that the issuer had numbered so far, at the time iat.
        self.epoch, self.seq, self.iat = None, 0, 0
        self.heard = -math.inf, -math.inf, 0
        self.offsets = []
        self.ready = threading.Event()
        threading.Thread(target=self._run, daemon=True).start()
        self.ready.wait(SILENCE)

    def check(self, token, claims):
        """For a token that has been verified. Raises Revoked, or Stale where nobody can tell."""
        kid = jwt.get_unverified_header(token)["kid"]
        for key in (("sid", claims.get("sid")), ("sub", claims["sub"]), ("kid", kid), ("all", True)):
            until, _ = self.entries.get(key, (-math.inf, 0))
            if claims["iat"] <= until:
                raise Revoked(key[0])
        if self.age() > self.max_staleness:
            raise Stale

    def age(self):
        """How old the view is, in seconds."""
        monotonic, wall, delay = self.heard
        # The one clock stands still while the machine sleeps, the other may be set back.
        since = max(time.monotonic() - monotonic, time.time() - wall)
        # Where everything has been held back from the first message on, only the clocks tell.
        return max(since + delay, time.time() - self.iat - CLOCKS_APART)

    def _run(self):
        pause = 3
        while True:
            try:
                self._follow()
            except Exception as error:
                log.warning("the stream has ended: %s", error)
            try:
                # Where a proxy lets no stream through, this is what keeps the view fresh.
                self._catch_up()
                pause = 3
            except Exception as error:
                log.warning("the list could not be read: %s", error)
                pause = min(2 * pause, 10)
            time.sleep(random.uniform(0.2, pause))

    def _follow(self):
        asked = clocks()
        with urllib.request.urlopen(self.stream, timeout=SILENCE) as stream:
            # The stream begins with the present. What comes while the list is read waits in it.
            self._catch_up()
            opened, message = time.monotonic(), {}
            while line := stream.readline(65_536).decode():
                if time.monotonic() - max(opened, self.heard[0]) > SILENCE:
                    raise TimeoutError("no heartbeat")
                name, _, value = line.strip().partition(": ")
                if line.strip():
                    message[name] = value
                    continue
                self._receive(message.get("event"), message.get("data", ""), asked)
                message = {}

    def _receive(self, event, data, asked):
        if event == "revocation":
            claims = self._open(data, "secevent+jwt")
            # A changed password has a number, but ends nothing by itself.
            entry = claims.get("revocation")
            if entry:
                self._hold(entry)
            # After a gap the next heartbeat is ahead.
            if (claims["epoch"], (entry or claims)["seq"]) == (self.epoch, self.seq + 1):
                self.seq += 1
        elif event == "heartbeat":
            claims = self._open(data, "revocations+jwt")
            if claims["epoch"] == self.epoch and claims["seq"] <= self.seq:
                self._reached(claims, asked)
            else:
                self._catch_up()
        elif event == "reset":
            self._catch_up()

    def _catch_up(self):
        """Reads from the list what is not held yet, page by page."""
        epoch, seq = self.epoch, self.seq
        while True:
            since = f"?since={epoch}.{seq}" if epoch else ""
            asked = clocks()
            with urllib.request.urlopen(self.url + since, timeout=SILENCE) as reply:
                page = self._open(reply.read().decode(), "revocations+jwt")
            if page["epoch"] != epoch:
                epoch, seq = page["epoch"], 0
            # A heartbeat, or another part, is signed as well. It leaves out what has come since.
            if page["after"] > seq:
                raise ValueError("not what was asked for")
            for entry in page["revocations"]:
                self._hold(entry)
            last = max((entry["seq"] for entry in page["revocations"]), default=page["seq"])
            if last == page["seq"]:
                return self._reached(page, asked)
            # A copy of a part that is known says nothing new. The next heartbeat has it asked for again.
            if last <= seq:
                return None
            seq = last

    def _open(self, message, typ):
        header = jwt.get_unverified_header(message)
        # What is not meant for us might have been signed for anything. A key that was revoked says nothing more.
        if header.get("typ") != typ or ("kid", header.get("kid")) in self.entries:
            raise jwt.InvalidTokenError("another kind of message, or signed by a key that was revoked")
        return jwt.decode(
            message,
            self.keys.get_signing_key(header["kid"]),
            algorithms=["RS256"],
            issuer=self.issuer,
            leeway=CLOCKS_APART,
            options={"require": ["iss", "iat"], "verify_aud": False},
        )

    def _hold(self, entry):
        kinds = [kind for kind in ("sid", "sub", "kid", "all") if kind in entry]
        if len(kinds) != 1:
            raise ValueError("a revocation of a kind that is not known here")
        key = kinds[0], entry[kinds[0]]
        # A session and a key have no life after this. Users may be enabled again, and sign in.
        until = entry["revoked_at"] if kinds[0] in ("sub", "all") else math.inf
        before, end = self.entries.get(key, (0, 0))
        self.entries[key] = max(until, before), max(entry["expires_at"], end)

    def _reached(self, claims, asked):
        """All that had been revoked when this was signed is held. It was asked for at a moment by both clocks."""
        (monotonic, wall), iat = clocks(), claims["iat"]
        # The monotonic clock stands still while the machine sleeps, and what lay in a buffer would look new.
        if wall - asked[1] - (monotonic - asked[0]) > 2:
            raise ValueError("this machine slept, or its clock was set")
        # Replays and old copies do not make the view any fresher.
        if iat <= self.iat:
            return
        if claims["epoch"] != self.epoch:
            self.offsets = []  # Another database may have another clock.
        self.epoch, self.seq, self.iat = claims["epoch"], claims["seq"], iat
        # How much later it came than the second quickest, as the quickest may have been signed by a clock that was
        # ahead. The rest is the difference between two clocks.
        offset = monotonic - iat
        self.offsets = [each for each in self.offsets if each[0] > monotonic - MEMORY] + [(monotonic, offset)]
        quickest = sorted(each for _, each in self.offsets)[:2]
        self.heard = monotonic, wall, max(0, offset - quickest[-1])
        # By both clocks: ours may have been set for a moment, and tokens are judged by it.
        # A key is never forgotten: whoever has it chooses how long its tokens live.
        past = min(iat, wall)
        self.entries = {
            key: (until, end) for key, (until, end) in self.entries.items() if key[0] == "kid" or end > past
        }
        self.ready.set()
