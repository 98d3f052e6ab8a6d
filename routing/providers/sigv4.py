"""AWS's Signature Version 4, by botocore. Loaded with the first signed request: the signer takes 9 MB."""

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

SERVICE = "bedrock"


def signed_headers(url: str, data: bytes, credential: str, region: str) -> dict[str, str]:
    """``credential``: ACCESS_KEY_ID:SECRET_ACCESS_KEY[:SESSION_TOKEN]. The URL is signed as it stands."""
    access_key, secret, *token = credential.split(":", 2)
    request = AWSRequest("POST", url, headers={"Content-Type": "application/json"}, data=data)
    SigV4Auth(Credentials(access_key, secret, token[0] if token else None), SERVICE, region).add_auth(request)
    return {name: str(value) for name, value in request.headers.items()}
