"""Signs in, refreshes and signs out with nothing but what openapi-python-client made of the description."""

import os

from claviger import AuthenticatedClient, Client
from claviger.api.account import get_me, get_sessions
from claviger.api.sessions import post_login, post_logout, post_refresh
from claviger.models import PostLoginBody, PostLogoutBody, PostRefreshBody, Problem

issuer, email, password = (os.environ[name] for name in ("ISSUER", "EMAIL", "PASSWORD"))
client = Client(base_url=issuer)

wrong = post_login.sync(client=client, body=PostLoginBody(email=email, password="not the one"))
assert isinstance(wrong, Problem) and wrong.code == "invalid_credentials", wrong

body = PostLoginBody(email=email, password=password, client_id="native")
signed_in = post_login.sync(client=client, body=body)
assert signed_in.user.email == email, signed_in

body = PostRefreshBody(refresh_token=signed_in.refresh_token)
refreshed = post_refresh.sync(client=client, body=body, idempotency_key="one exchange")
assert refreshed.refresh_token != signed_in.refresh_token, refreshed

own = AuthenticatedClient(base_url=issuer, token=refreshed.access_token)
listed = get_sessions.sync(client=own)
assert [(each.client_id, each.current) for each in listed.sessions] == [("native", True)], listed

body = PostLogoutBody(refresh_token=refreshed.refresh_token)
signed_out = post_logout.sync_detailed(client=client, body=body)
assert signed_out.status_code == 204, signed_out
late = get_me.sync(client=own)
assert isinstance(late, Problem) and late.code == "invalid_token", late
