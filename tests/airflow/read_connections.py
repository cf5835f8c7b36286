"""Reads connections with Airflow itself: says what its hook for dbt Cloud makes of them, and how Airflow writes them.

    python read_connections.py TEXTS ANSWERS

TEXTS is a file with a JSON object of two lists of texts: `written`, connections in one of the forms that Airflow takes,
and `judged`, of which some are none. ANSWERS becomes a JSON object: `written` has an answer for each of the former,
`judged` for each of the latter, null where Airflow has no connection to dbt, and `more` one for each connection that is
made up here.
"""

import ipaddress
import json
import logging
import os
import pathlib
import re
import sys
from urllib.parse import urlsplit

from airflow.models.connection import Connection as CoreConnection
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Connection
from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded
from requests import PreparedRequest

# As people fill the form in: no host or a URL for one, fields that the hook doesn't use.
FORMS = [
    {"login": "12345"},
    {"login": "12345", "host": ""},
    {"login": "12345", "host": "emea.dbt.com"},
    {"login": "12345", "host": "EMEA.dbt.com"},
    {"login": "12345", "host": "https://emea.dbt.com"},
    {"login": "12345", "host": "https://emea.dbt.com/"},
    {"login": "12345", "host": "http://emea.dbt.com/deploy/12345"},
    {"login": "12345", "host": "emea.dbt.com", "port": 443},
    {"login": "12345", "port": 443},
    {"login": "12345", "schema": "a/b?c"},
    {"login": "12345", "description": "dbt@prod: \"a\"/b"},
    {"login": "12345", "extra": "{}"},
    {"login": "12345", "extra": '{"proxies": {"https": "http://proxy:3128"}}'},
    {"login": "12345", "host": "emea.dbt.com", "extra": '{"a": "b&c=d@e:f/g", "é": "😀"}'},
    {"login": "a:b@c/d", "host": "emea.dbt.com", "schema": "s", "port": 1, "extra": '{"x": [1, null]}'},
]
PASSWORDS = ["dbtc_abc123==", "p@ss:w/ord?#[]%2F+ \n\t", "é😀\u2028\"\\", "://"]

# As people write them into an environment variable.
TEXTS = [
    "dbt-cloud://12345:dbtc_abc@",
    "dbt-cloud://12345:dbtc_abc@/",
    "dbt-cloud://12345:dbtc_abc@emea.dbt.com",
    "DBT-Cloud://12345:dbtc_abc@EMEA.dbt.com",
    "  dbt-cloud://12345:dbtc_abc@emea.dbt.com\n",
    "dbt-cloud://12345:dbtc_\n  abc@emea.dbt.com",
    "dbt-cloud://12345:a:b@c:d@emea.dbt.com",
    "dbt-cloud://12345:a+b%2Bc d%20e@emea.dbt.com",
    "dbt-cloud://12345:100%&%zz%4@emea.dbt.com",
    "dbt-cloud://12345:é😀@emea.dbt.com",
    "dbt-cloud://12345:dbtc_abc@emea.dbt.com:443/schema?proxies=x#fragment",
    "dbt-cloud://12345:dbtc_abc@emea.dbt.com:?a=b@c",
    "dbt-cloud://12345:dbtc_abc@emea%2edbt.com",
    "dbt-cloud://https://12345:dbtc_abc@emea.dbt.com/",
    "dbt-cloud://12345:dbtc_abc@https%3A%2F%2Femea.dbt.com",
    '{"conn_type": "dbt_cloud", "login": "12345", "password": "dbtc_abc"}',
    '\n{ "password":"dbtc_abc","login":"12345","host":null,"conn_type":"dbt-cloud" }\n',
    '{"conn_type": "dbt_cloud", "login": "1", "login": "2", "password": "a", "password": "\\u00e9\\ud83d\\ude00"}',
    '{"conn_type": "dbt_cloud", "login": "1", "password": "dbtc_abc", "host": "EMEA.dbt.com", "extra": {"a": [{}]}}',
]

BACKEND = ensure_secrets_backend_loaded()[0]


def read(text):
    """What Airflow makes of a text in the environment, where tasks find it, and in its own database's class."""
    os.environ["AIRFLOW_CONN_UNDER_TEST"] = text
    hook = DbtCloudHook("under_test")
    connection = hook.connection
    request = PreparedRequest()
    request.headers = {}
    hook.get_conn().auth(request)
    core = CoreConnection.from_json(text, "x") if text.strip()[0] == "{" else CoreConnection("x", uri=text.strip())
    for field in ("conn_type", "host", "login", "password"):
        assert getattr(core, field) == getattr(connection, field), f"Airflow disagrees with itself about {field}"
    return {
        "conn_type": connection.conn_type,
        "tenant": hook._get_tenant_domain(connection),
        "base_url": hook.base_url,
        "login": connection.login,
        "account_id": hook._resolve_account_id() if connection.login.isdecimal() else None,
        "password": connection.password,
        "authorization": request.headers["Authorization"],
        "uri": core.get_uri(),
        "json": core.as_json(),
    }


def judge(text):
    """What a task's dbt hook makes of a text, or None if Airflow refuses it as a connection to dbt.

    It is such a connection if all of this holds:
    - A secrets backend reads it, into the class that tasks use, `airflow.sdk.Connection`. (The server's class differs:
      it requires `extra` to be an object and the password to be text, and it accepts `team_name`, an empty `uri`, and
      null beside a `uri`.)
    - Its type is `dbt_cloud`, for which Airflow has the hook.
    - It has a token, which the hook requires, and the token is text or a whole number.
    - It has no login, or the login is text, or `int` takes it: that is what the hook asks dbt for.
    - It has no host, or the host is text that names one, as `host_name` says.

    The hook gets the connection here without the lookup by its ID. That writes the connection as a URI for its cache,
    which fails on numbers.
    """
    try:
        connection = BACKEND.deserialize_connection("x", text)
    except Exception:
        return None
    if connection.conn_type != DbtCloudHook.conn_type:
        return None
    hook = DbtCloudHook("x")
    hook.get_connection = lambda _: connection
    try:
        request = PreparedRequest()
        request.headers = {}
        hook.get_conn().auth(request)
        token = request.headers["Authorization"].removeprefix("Token ")
        # JSON has half surrogates, which no UTF-8 has: they reach neither dbt nor a provider.
        token.encode()
        answer = {"host": host_name(hook), "account_id": account_id(hook), "token": token}
    except Exception:
        return None
    return answer if type(connection.password) in (str, int) else None


def account_id(hook):
    login = hook.connection.login
    if isinstance(login, str):
        login.encode()
        return login or None
    return str(hook._resolve_account_id()) if login else None


def host_name(hook):
    """The host that the hook's requests go to, as Airflow's HTTP library has it, without port and path.

    With a URL as host the hook would not get far, but what it means is plain, and Airflow's own URIs can have it. A
    host name is what a URL can have unencoded, or an IPv6 address in brackets.
    """
    tenant = hook._get_tenant_domain(hook.connection)
    url = tenant if "://" in tenant else hook.base_url
    if not re.match("https?://", url, re.IGNORECASE):
        raise ValueError("a URL of another scheme")
    request = PreparedRequest()
    request.prepare_url(url, None)
    name = urlsplit(request.url).hostname
    if ":" in name:
        return f"[{ipaddress.IPv6Address(name)}]"
    if not re.fullmatch("[a-z0-9._~!$&'()*+,;=-]+", name):
        raise ValueError("not a host name")
    return name


def made_up():
    for form in FORMS:
        for password in PASSWORDS:
            connection = Connection(conn_id="x", conn_type="dbt_cloud", password=password, **form)
            yield connection.get_uri()
            yield connection.as_json()
    yield from TEXTS


def main():
    texts, answers = map(pathlib.Path, sys.argv[1:])
    # Airflow logs a traceback for every `extra` that is not JSON.
    logging.disable()
    given = json.loads(texts.read_text(encoding="utf-8"))
    more = []
    for text in made_up():
        answer = read(text)
        tenant = answer["tenant"]
        # The hook would not get far with a URL for a tenant, but what it means is plain.
        host = urlsplit(tenant).hostname if "://" in tenant else tenant.lower()
        more.append({"text": text, "host": host, "login": answer["login"], "password": answer["password"]})
    said = {"written": [read(text) for text in given["written"]], "judged": [judge(text) for text in given["judged"]]}
    answers.write_text(json.dumps(said | {"more": more}), encoding="utf-8")


if __name__ == "__main__":
    main()
