"""A request as a curl command that anybody can run: the key is a variable, never a secret."""

import json
import shlex


def as_curl(url: str, request: object) -> str:
    lines = [
        f"curl {shlex.quote(url)}",
        '-H "Authorization: Bearer $RELAY_API_KEY"',
        "-H 'Content-Type: application/json'",
        f"-d {shlex.quote(json.dumps(request, ensure_ascii=False))}",
    ]
    return " \\\n  ".join(lines)
