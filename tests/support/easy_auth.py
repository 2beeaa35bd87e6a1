"""What App Service Authentication tells of who signed in."""

import base64
import json
from typing import Any

TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
OID = "00000000-0000-0000-66f3-3332eca7ea81"
OBJECT_ID = "http://schemas.microsoft.com/identity/claims/objectidentifier"
TENANT_ID = "http://schemas.microsoft.com/identity/claims/tenantid"
NAME_ID = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
ON = {"CHAT_AUTH": "easyauth", "WEBSITE_AUTH_ENABLED": "True", "CHAT_EASYAUTH_ISSUER": ISSUER}

AAD = [("iss", ISSUER), (OBJECT_ID, OID), (TENANT_ID, TENANT), (NAME_ID, "pairwise"), ("name", "Ann")]


def encoded(value: Any) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()).decode()


def told(*claims: tuple[str, str], idp: str = "aad", **more: Any) -> dict[str, Any]:
    named = [{"typ": name, "val": value} for name, value in claims]
    return {"auth_typ": idp, "claims": named, "name_typ": "name", "role_typ": "roles"} | more


def signed_in(principal: Any, *, idp: str = "aad", user: str = OID, **more: str) -> dict[str, str]:
    names = {"x-ms-client-principal-id": user, "x-ms-client-principal-idp": idp}
    return {"x-ms-client-principal": encoded(principal), **names, **more}
