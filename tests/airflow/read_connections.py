"""Reads connections with Airflow itself: says what its hook for dbt Cloud makes of them, and how Airflow writes them.

    python read_connections.py TEXTS ANSWERS

TEXTS is a file with a JSON list of connections, each a text in one of the forms that Airflow takes. ANSWERS becomes a
JSON object: `read` has an answer for each text, and `more` one for each connection that is made up here.
"""

import json
import os
import pathlib
import sys
from urllib.parse import urlsplit

from airflow.models.connection import Connection as CoreConnection
from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from airflow.sdk import Connection
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


def made_up():
    for form in FORMS:
        for password in PASSWORDS:
            connection = Connection(conn_id="x", conn_type="dbt_cloud", password=password, **form)
            yield connection.get_uri()
            yield connection.as_json()
    yield from TEXTS


def main():
    texts, answers = map(pathlib.Path, sys.argv[1:])
    more = []
    for text in made_up():
        answer = read(text)
        tenant = answer["tenant"]
        # The hook would not get far with a URL for a tenant, but what it means is plain.
        host = urlsplit(tenant).hostname if "://" in tenant else tenant.lower()
        more.append({"text": text, "host": host, "login": answer["login"], "password": answer["password"]})
    given = json.loads(texts.read_text(encoding="utf-8"))
    answers.write_text(json.dumps({"read": [read(text) for text in given], "more": more}), encoding="utf-8")


if __name__ == "__main__":
    main()
