"""A KMS over its API, beside Terraform: what changes objects behind Terraform's back, and what cleans up."""

import json
import ssl
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid

from local_run import Unexpected

CONNECTIONS = "/api/v1/app-connections/dbt"
ROTATIONS = "/api/v2/secret-rotations/dbt-service-token"

SERVICE_ACCOUNT_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount/token"

# How often a call is sent in all that the server puts off or doesn't answer, and the seconds between.
TRIES = 6
PAUSE = 2
# How often what is left is looked for: a server may perform a creation late.
CLEAN_UPS = 3
LONGEST_PAUSE = 90


class NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would take the access token to another host."""

    def redirect_request(self, *_):
        return None


class Kms:
    """A client that finds host and login in the variables of the provider."""

    def __init__(self, environment, sees_organization):
        self.environment = environment
        # An identity of a project may not list the organization, and leaves nothing there.
        self.sees_organization = sees_organization
        self.base = host(environment)
        self.access_token = None
        # Every secret that this client has had, for the search in files.
        self.secrets = []
        context = ssl.create_default_context()
        if environment.get("KMS_CA_CERTIFICATE_FILE"):
            context.load_verify_locations(environment["KMS_CA_CERTIFICATE_FILE"])
        handlers = [NoRedirects(), urllib.request.HTTPSHandler(context=context)]
        if is_loopback(self.base):
            handlers.append(urllib.request.ProxyHandler({}))
        self.opener = urllib.request.build_opener(*handlers)

    def log_in(self):
        token = self.environment.get("KMS_TOKEN")
        if token:
            self.access_token = token
        else:
            path, body = login(self.environment)
            if self.environment.get("KMS_AUTH_ORGANIZATION_SLUG"):
                body["organizationSlug"] = self.environment["KMS_AUTH_ORGANIZATION_SLUG"]
            self.secrets += [body[name] for name in ("clientSecret", "jwt") if name in body]
            status, answer = self.send("POST", f"/api/v1/auth/{path}/login", body, None)
            if status != 200 or "accessToken" not in answer:
                raise Unexpected(f"the login was answered with {status}: {message(answer)}")
            self.access_token = answer["accessToken"]
        self.secrets.append(self.access_token)

    def call(self, method, path, body=None):
        """Calls the API, and gives status and body. A call that may have been performed is only repeated if it can be."""
        if self.access_token is None:
            self.log_in()
        for attempt in range(1, TRIES + 1):
            try:
                status, answer = self.send(method, path, body, self.access_token)
            except OSError as error:
                if method not in ("GET", "DELETE") or attempt == TRIES:
                    raise Unexpected(f"{method} {path.split('?')[0]}: {error}") from None
                time.sleep(PAUSE)
                continue
            expired = status == 401 or (status == 403 and answer.get("error") == "TokenError")
            if expired and not self.environment.get("KMS_TOKEN") and attempt == 1:
                self.log_in()
            elif status == 429 and attempt < TRIES:
                time.sleep(min(answer["retry_after"], LONGEST_PAUSE))
            elif status >= 500 and method in ("GET", "DELETE") and attempt < TRIES:
                time.sleep(PAUSE)
            else:
                break
        return status, answer

    def send(self, method, path, body, access_token):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.base + path, data=data, method=method)
        request.add_header("Accept", "application/json")
        if data:
            request.add_header("Content-Type", "application/json")
        if access_token:
            request.add_header("Authorization", f"Bearer {access_token}")
        try:
            with self.opener.open(request, timeout=60) as response:
                return response.status, parsed(response.read())
        except urllib.error.HTTPError as error:
            with error:
                answer = parsed(error.read())
            if error.code == 429:
                seconds = error.headers.get("retry-after") or ""
                answer["retry_after"] = int(seconds) if seconds.isdigit() else LONGEST_PAUSE
            return error.code, answer

    def project(self, id_or_slug):
        """A project with `id`, `slug` and `environments`, over the routes of newer and of older servers."""
        quoted = urllib.parse.quote(id_or_slug, safe="")
        if is_uuid(id_or_slug):
            routes = [f"/api/v1/projects/{quoted}", f"/api/v1/workspace/{quoted}"]
        else:
            routes = [f"/api/v1/projects/slug/{quoted}", f"/api/v2/workspace/{quoted}"]
        for route in routes:
            status, answer = self.call("GET", route)
            if status == 200:
                return answer.get("project") or answer.get("workspace") or answer
        raise Unexpected(f"the project of KMS_LIVE_PROJECT_ID can't be read: {status}: {message(answer)}")

    def ours(self, prefix, project_id):
        """The rotations and connections whose names begin with the prefix, as their paths and names."""
        found = {}
        in_project = f"?projectId={urllib.parse.quote(project_id)}" if project_id else None
        lists = [(ROTATIONS, in_project, "secretRotations")] if in_project else []
        queries = ([""] if self.sees_organization else []) + ([in_project] if in_project else [])
        lists += [(CONNECTIONS, query, "appConnections") for query in queries]
        refused = []
        for path, query, field in lists:
            status, answer = self.call("GET", path + query)
            if status == 200:
                for one in answer[field]:
                    if str(one.get("name", "")).startswith(prefix):
                        found[f"{path}/{one['id']}"] = one["name"]
            elif not (path == ROTATIONS and status in (400, 404)):
                # A server without rotations, or without a license for them, has none of ours.
                refused.append(f"{path} can't be listed: {status}: {message(answer)}")
        return found, refused

    def clean_up(self, prefix, project_id):
        """Deletes what this run has left, rotations first. Gives what was deleted, and what is still there or unknown."""
        deleted = []
        left, refused = self.ours(prefix, project_id)
        for _ in range(CLEAN_UPS):
            for path, name in left.items():
                query = ""
                if path.startswith(ROTATIONS):
                    query = "?deleteSecrets=true&revokeGeneratedCredentials=true"
                status, _ = self.call("DELETE", path + query)
                if status == 200:
                    deleted.append(name)
            if not left:
                break
            left, refused = self.ours(prefix, project_id)
        return deleted, [f"{name} is still there ({path})" for path, name in left.items()] + refused


def host(environment):
    """The address, with the rules of the provider."""
    base = environment["KMS_HOST"].strip().rstrip("/")
    for end in ("/api/v1", "/api"):
        base = base.removesuffix(end).rstrip("/")
    parts = urllib.parse.urlsplit(base)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username or parts.query:
        raise Unexpected("KMS_HOST should be a whole URL without user, query or fragment")
    allowed = environment.get("KMS_ALLOW_PLAIN_HTTP", "").lower() in ("true", "1")
    if parts.scheme == "http" and not is_loopback(base) and not allowed:
        raise Unexpected("KMS_HOST should begin with https://, for secrets are sent there")
    return base


def is_loopback(base):
    name = urllib.parse.urlsplit(base).hostname or ""
    return name in ("localhost", "::1") or name.startswith("127.")


def is_uuid(text):
    try:
        return bool(uuid.UUID(text))
    except ValueError:
        return False


def login(environment):
    """Route and body of the login that the environment chooses. AWS IAM is chosen by a provider block alone."""
    given = {name: value for name, value in environment.items() if value}
    identity = given.get("KMS_MACHINE_IDENTITY_ID", "")
    if "KMS_UNIVERSAL_AUTH_CLIENT_ID" in given:
        secret = given.get("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", "")
        return "universal-auth", {"clientId": given["KMS_UNIVERSAL_AUTH_CLIENT_ID"], "clientSecret": secret}
    if "KMS_OIDC_AUTH_TOKEN_NAME" in given or "KMS_AUTH_JWT" in given:
        jwt = given.get(given.get("KMS_OIDC_AUTH_TOKEN_NAME", "KMS_AUTH_JWT"), "")
        return "oidc-auth", {"identityId": identity, "jwt": jwt}
    variable = "KMS_KUBERNETES_SERVICE_ACCOUNT_TOKEN"
    if variable in given:
        return "kubernetes-auth", {"identityId": identity, "jwt": given[variable]}
    if f"{variable}_PATH" in given:
        with open(given.get(f"{variable}_PATH", SERVICE_ACCOUNT_TOKEN), encoding="utf-8") as file:
            return "kubernetes-auth", {"identityId": identity, "jwt": file.read().strip()}
    raise Unexpected("the environment should have a login: see CONTRIBUTING.md")


def parsed(data):
    """The object of an answer; empty for a page of something else."""
    try:
        answer = json.loads(data)
    except ValueError:
        return {}
    return answer if isinstance(answer, dict) else {}


def message(answer):
    said = answer.get("message") or "an answer that isn't the KMS's"
    return said if isinstance(said, str) else json.dumps(said)
