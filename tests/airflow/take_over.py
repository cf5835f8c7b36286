"""Stands for a task that runs with the default connection for dbt Cloud: says what Airflow's hook makes of it.

    python take_over.py ANSWER

The connection is in the environment, where tasks find it. ANSWER becomes a JSON object with what goes to dbt, and a
digest in place of the token.
"""

import hashlib
import json
import pathlib
import sys

from airflow.providers.dbt.cloud.hooks.dbt import DbtCloudHook
from requests import PreparedRequest


def main():
    hook = DbtCloudHook()
    request = PreparedRequest()
    request.headers = {}
    hook.get_conn().auth(request)
    kind, token = request.headers["Authorization"].split(" ")
    answer = {
        "base_url": hook.base_url,
        "account_id": hook._resolve_account_id(),
        "authorization": kind,
        "token_sha256": hashlib.sha256(token.encode()).hexdigest(),
    }
    pathlib.Path(sys.argv[1]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
