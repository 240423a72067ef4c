"""What providers check of a request before they look at anything else.

Written a second time, from the providers' documents and not from our code, so that an error in one of
the two shows. Each raises AssertionError for what the provider would refuse.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from datetime import UTC, datetime
from urllib.parse import quote, unquote

from tests.support.providers import Asked


def standard_webhook(asked: Asked, secret: str, now: datetime) -> None:
    """As a receiver with one secret does it: within five minutes, and one signature is enough."""
    key = base64.b64decode(secret.split("_", 1)[1])
    stamp = asked.headers["webhook-timestamp"]
    assert abs(now.timestamp() - int(stamp)) <= 300
    content = b".".join([asked.headers["webhook-id"].encode(), stamp.encode(), asked.body])
    expected = base64.b64encode(hmac.digest(key, content, "sha256")).decode()
    given = [each.split(",", 1) for each in asked.headers["webhook-signature"].split(" ")]
    assert any(version == "v1" and value == expected for version, value in given)


def aliyun(asked: Asked, key_id: str, key_secret: str) -> None:
    """ACS3-HMAC-SHA256: the query sorted and encoded, `host` and every `x-acs-*` header signed."""
    found = re.fullmatch(
        r"ACS3-HMAC-SHA256 Credential=([^,]+),SignedHeaders=([^,]+),Signature=([0-9a-f]{64})",
        asked.headers["authorization"],
    )
    assert found is not None
    assert found[1] == key_id
    signed = found[2].split(";")
    assert signed == sorted(signed)
    assert {"host", *(h for h in asked.headers if h.startswith("x-acs-"))} <= set(signed)
    assert asked.headers["x-acs-content-sha256"] == hashlib.sha256(asked.body).hexdigest()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", asked.headers["x-acs-date"])
    path, _, query = asked.target.partition("?")
    pairs = sorted(each.partition("=")[::2] for each in query.split("&"))
    encoded = [f"{_again(name)}={_again(value)}" for name, value in pairs]
    canonical = (
        f"{asked.method}\n{path}\n{'&'.join(encoded)}\n"
        + "".join(f"{name}:{asked.headers[name].strip()}\n" for name in signed)
        + f"\n{found[2]}\n{asked.headers['x-acs-content-sha256']}"
    )
    text = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    assert hmac.digest(key_secret.encode(), text.encode(), "sha256").hex() == found[3]


def _again(encoded: str) -> str:
    return quote(unquote(encoded), safe="")


def tencent(asked: Asked, key_id: str, key_secret: str, now: datetime) -> None:
    """TC3-HMAC-SHA256: `content-type` and `host` at least, the body by its hash, within five minutes."""
    found = re.fullmatch(
        r"TC3-HMAC-SHA256 Credential=([^/]+)/(\d{4}-\d\d-\d\d)/sms/tc3_request, "
        r"SignedHeaders=([a-z;-]+), Signature=([0-9a-f]{64})",
        asked.headers["authorization"],
    )
    assert found is not None
    assert found[1] == key_id
    stamp = int(asked.headers["x-tc-timestamp"])
    assert abs(now.timestamp() - stamp) <= 300
    assert found[2] == datetime.fromtimestamp(stamp, UTC).date().isoformat()
    signed = found[3].split(";")
    assert {"content-type", "host"} <= set(signed)
    lines = [f"{name}:{asked.headers[name].lower()}" for name in signed]
    canonical = "\n".join(
        ["POST", "/", "", *lines, "", found[3], hashlib.sha256(asked.body).hexdigest()]
    )
    scope = f"{found[2]}/sms/tc3_request"
    text = "\n".join(
        ["TC3-HMAC-SHA256", str(stamp), scope, hashlib.sha256(canonical.encode()).hexdigest()]
    )
    day = hmac.digest(b"TC3" + key_secret.encode(), found[2].encode(), "sha256")
    service = hmac.digest(day, b"sms", "sha256")
    key = hmac.digest(service, b"tc3_request", "sha256")
    assert hmac.digest(key, text.encode(), "sha256").hex() == found[4]


def basic(asked: Asked, user: str, password: str) -> None:
    word, _, encoded = asked.headers["authorization"].partition(" ")
    assert word == "Basic"
    assert base64.b64decode(encoded).decode() == f"{user}:{password}"


def dingtalk_robot(asked: Asked, secret: str, now: datetime) -> None:
    """In the query, its timestamp in milliseconds, within an hour."""
    stamp = asked.query["timestamp"]
    assert abs(now.timestamp() - int(stamp) / 1000) <= 3600
    digest = hmac.digest(secret.encode(), f"{stamp}\n{secret}".encode(), "sha256")
    assert base64.b64decode(asked.query["sign"]) == digest


def feishu_robot(asked: Asked, secret: str, now: datetime) -> None:
    """In the body, its timestamp in seconds, within an hour; the text is the key, and nothing is signed."""
    stamp = asked.json["timestamp"]
    assert isinstance(stamp, str)
    assert abs(now.timestamp() - int(stamp)) <= 3600
    digest = hmac.digest(f"{stamp}\n{secret}".encode(), b"", "sha256")
    assert asked.json["sign"] == base64.b64encode(digest).decode()
