"""Terraform against one KMS, and what is observed of it: lines of text that can be compared with those of another KMS."""

import dataclasses
import json
import re
import signal
import subprocess

from local_run import Unexpected, expect

PROVIDER = """\
terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

provider "kms" {}

variable "dbt_token" {
  type      = string
  ephemeral = true
  default   = null
}

"""

# Longer than the provider waits for a rate limit.
TERRAFORM_TIMEOUT = 1200

# What differs between any two runs, in the order in which it is replaced.
VARIABLE = [
    (re.compile(r"\breq-[\w-]+"), "<request>"),
    (re.compile(r"\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", re.IGNORECASE), "<id>"),
    (re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)"), "<time>"),
    (re.compile(r"\b[0-9a-f]{64}\b"), "<hash>"),
]
REQUEST = re.compile(r"request to the KMS: (.*)$", re.MULTILINE)
FIELD = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S+)')


@dataclasses.dataclass
class Project:
    """Where what needs a project goes."""

    id: str
    slug: str
    environment: str
    path: str


@dataclasses.dataclass
class Dbt:
    """The dbt account of the connections. The token has to be good for it."""

    instance_url: str
    account_id: str
    token: str


@dataclasses.dataclass
class Run:
    """What came of one run of Terraform."""

    code: int
    events: list
    diagnostics: list
    requests: list

    def errors(self, attribute=None):
        errors = [one for one in self.diagnostics if one["severity"] == "error"]
        return [one for one in errors if attribute in (None, one["attribute"])]


class World:
    """One KMS, with folders of configurations for it, and what was observed since the current step began."""

    def __init__(self, title, scratch, terraform, variables, kms, prefix, project, dbt, aliases):
        self.title, self.scratch, self.terraform = title, scratch, terraform
        self.kms, self.prefix, self.project, self.dbt = kms, prefix, project, dbt
        self.variables = variables
        self.seen, self.transcript, self.runs = [], [], 0
        # What stands for the same thing in both worlds has one name in what is compared.
        self.aliases = [(re.compile(rf"(?<![\w.-]){re.escape(text)}(?![\w-])"), name) for text, name in aliases if text]

    def root(self, name):
        return Root(self, name)

    def begin(self):
        self.seen = []

    def see(self, kind, text):
        self.seen.append(f"{kind}: {self.plain(str(text))}")

    def plain(self, text):
        """A text without what differs between any two servers."""
        for pattern, name in [*self.aliases, *VARIABLE]:
            text = pattern.sub(name, text)
        return text

    def api(self, method, path, body=None):
        """Calls the KMS without Terraform."""
        status, answer = self.kms.call(method, path, body)
        self.see("without Terraform", f"{method} {path} -> {status}")
        return status, answer

    def names(self):
        """The names of this run's objects that are there."""
        found, refused = self.kms.ours(self.prefix, self.project.id if self.project else None)
        expect(not refused, f"connections should be listed: {'; '.join(refused)}")
        return sorted(found.values())


class Root:
    """A folder with a configuration and its state."""

    def __init__(self, world, name):
        self.world, self.folder = world, world.scratch / name
        self.folder.mkdir(exist_ok=True)

    def write(self, *blocks):
        (self.folder / "main.tf").write_text(PROVIDER + "\n".join(blocks))

    def plan(self, *options, token=None):
        """Plans, and gives what would change: actions and changed attributes by address."""
        run = self.run("plan", "-out=tfplan", "-input=false", *options, token=token)
        self.succeeded(run, "plan")
        code, shown = self.call("show", "-json", "tfplan")
        expect(code == 0, "terraform show should succeed")
        plan = json.loads(shown)
        changes = {}
        for change in plan.get("resource_changes", []):
            actions, moved = change["change"]["actions"], changed(change["change"])
            imported = ["import"] if change["change"].get("importing") else []
            if actions != ["no-op"] or imported:
                changes[change["address"]] = imported + [one for one in actions if one != "no-op"]
                detail = f" ({', '.join(moved)})" if actions == ["update"] else ""
                self.world.see("plan", f"{change['address']}: {' and '.join(changes[change['address']])}{detail}")
        for address, change in drifted(plan):
            self.world.see("drift", f"{address}: {', '.join(change)}")
        return changes

    def apply(self, token=None):
        """Applies what was planned."""
        run = self.run("apply", "-input=false", "tfplan", token=token)
        self.succeeded(run, "apply")
        self.see_state()
        return run

    def applied(self):
        changes = self.plan()
        self.apply()
        return changes

    def clean(self):
        changes = self.plan()
        expect(changes == {}, f"a plan after that should be empty; it has {changes}")

    def destroy(self, *options):
        run = self.run("destroy", "-input=false", "-auto-approve", *options)
        self.succeeded(run, "destroy")
        return run

    def failing(self, command, *options, token=None):
        run = self.run(command, "-input=false", *options, token=token)
        expect(run.code != 0, f"terraform {command} should fail")
        return run

    def succeeded(self, run, command):
        if run.code != 0:
            reasons = [said(one) for one in run.errors()] or [f"exit status {run.code}"]
            raise Unexpected(f"terraform {command} failed: {'; '.join(reasons)}")

    def run(self, command, *options, token=None):
        """Runs a command that answers with events, and notes diagnostics and requests."""
        self.world.runs += 1
        log = self.folder / f"provider-{self.world.runs}.log"
        code, output = self.call(command, "-json", *options, token=token, log=log)
        events = [json.loads(line) for line in output.splitlines() if line.startswith("{")]
        found = [self.diagnostic(event["diagnostic"]) for event in events if event.get("type") == "diagnostic"]
        found = [one for one in found if "development overrides" not in one["summary"]]
        for one in found:
            self.world.see("said", said(one))
        requests = read_requests(log)
        for method, path, status in requests:
            self.world.see("request", f"{method} {path} -> {status}")
        return Run(code, events, found, requests)

    def diagnostic(self, json_form):
        place = json_form.get("range") or {}
        line = ""
        if place.get("filename"):
            lines = (self.folder / place["filename"]).read_text().splitlines()
            line = lines[place["start"]["line"] - 1].strip()
        attribute = line.split("=")[0].strip() if "=" in line else ""
        texts = {name: json_form.get(name) or "" for name in ("severity", "summary", "detail", "address")}
        return {**texts, "attribute": attribute}

    def call(self, *arguments, token=None, log=None):
        environment = dict(self.world.variables)
        if self.world.dbt:
            environment["TF_VAR_dbt_token"] = token or self.world.dbt.token
        if log:
            environment |= {"TF_LOG_PROVIDER": "DEBUG", "TF_LOG_PATH": str(log)}
        # In a session of its own: what interrupts this script must leave the request under way to end.
        with subprocess.Popen(
            [self.world.terraform, *arguments],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        ) as process:
            try:
                output, errors = process.communicate(timeout=TERRAFORM_TIMEOUT)
            except BaseException as reason:
                output, errors = stopped(process)
                if isinstance(reason, subprocess.TimeoutExpired):
                    raise Unexpected(f"terraform {arguments[0]} should end within {TERRAFORM_TIMEOUT} s") from None
                raise
            finally:
                self.world.transcript.append((f"terraform {arguments[0]}", f"{output}{errors}".encode()))
        return process.returncode, output

    def state(self, address):
        """A resource's attributes in state."""
        path = self.folder / "terraform.tfstate"
        resources = json.loads(path.read_text())["resources"] if path.exists() else []
        for one in resources:
            if f"{one['type']}.{one['name']}" == address and one["mode"] == "managed":
                return one["instances"][0]["attributes"]
        return None

    def see_state(self):
        for name in ("kms_dbt_connection.it", "kms_dbt_service_token_rotation.it"):
            for attribute, value in (self.state(name) or {}).items():
                self.world.see("state", f"{name}.{attribute} = {json.dumps(value)}")


def stopped(process):
    """Lets Terraform end as after Ctrl-C, so that no request is under way any more."""
    process.send_signal(signal.SIGINT)
    try:
        return process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.communicate()


def changed(change):
    before, after = change["before"] or {}, change["after"] or {}
    unknown = {name for name, is_unknown in (change.get("after_unknown") or {}).items() if is_unknown is True}
    return sorted({name for name in before if before[name] != after.get(name)} | unknown)


def drifted(plan):
    for one in plan.get("resource_drift", []):
        moved = changed(one["change"])
        if moved:
            yield one["address"], moved


def said(diagnostic):
    place = ".".join(diagnostic[name] for name in ("address", "attribute") if diagnostic[name])
    text = " ".join(f"{diagnostic['summary']}: {diagnostic['detail']}".split())
    return f"{diagnostic['severity']}{f' on {place}' if place else ''}: {text}"


def read_requests(log):
    """The provider's own lines, one for each request to the KMS. A login belongs to the method and not to the step."""
    found = []
    for line in REQUEST.findall(log.read_text() if log.exists() else ""):
        fields = {name: value.strip('"') for name, value in FIELD.findall(line)}
        status = fields.get("status", "no response")
        if not fields["path"].startswith("/api/v1/auth/"):
            found.append((fields["method"], fields["path"], status))
    return found


def shape(value, path=""):
    """The fields of a JSON value, each with its kind."""
    if isinstance(value, dict):
        for name, inner in sorted(value.items()):
            yield from shape(inner, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        yield f"{path} is a list"
        for inner in value[:1]:
            yield from shape(inner, f"{path}[]")
    else:
        kinds = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a text"}
        yield f"{path} is {kinds[type(value)]}"
