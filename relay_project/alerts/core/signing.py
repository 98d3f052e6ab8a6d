"""How who receives a webhook knows that Relay sent it, and just now.

x-relay-signature: t=EPOCH_SECONDS,v1=HEX      HEX = HMAC-SHA256(secret, "EPOCH_SECONDS." + body)
"""

import hashlib
import hmac


def signature(secret: str, body: bytes, at: int) -> str:
    digest = hmac.new(secret.encode(), b"%d.%s" % (at, body), hashlib.sha256)
    return f"t={at},v1={digest.hexdigest()}"
