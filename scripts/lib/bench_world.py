"""Terraform over many connections of an emulated KMS, and what its runs take."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

TOKEN = "dbtc_bench_0123456789abcdef"
TICK = os.sysconf("SC_CLK_TCK")

# How often to look at the provider's processes, in seconds. Their last look comes at most this long before they end.
POLL = 0.01


class Emulator:
    """The emulated KMS, as a process of its own."""

    def __init__(self, program):
        self.process = subprocess.Popen([program, "--port", "0"], stdout=subprocess.PIPE, text=True)
        self.url = self.process.stdout.readline().split()[-1]
        self.project = self.call("GET", "about")["projects"][0]
        if isinstance(self.project, dict):
            self.project = self.project["id"]

    def call(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.url}/__admin/{path}", data=data, method=method)
        with urllib.request.urlopen(request) as answer:
            return json.loads(answer.read() or b"null")

    def limits(self, limits):
        """`None` switches them off."""
        request = urllib.request.Request(
            f"{self.url}/__admin/limits", data=json.dumps(limits).encode(), method="PUT"
        )
        urllib.request.urlopen(request).read()

    def requests(self):
        """Since the last call: reads and writes besides logins, logins, and refusals for the rate limit."""
        log = self.call("GET", "requests")
        log = log["requests"] if isinstance(log, dict) else log
        self.call("DELETE", "requests")
        logins = sum("/auth/" in request["path"] for request in log)
        refused = sum(request["status"] == 429 for request in log)
        return len(log) - logins, logins, refused

    def close(self):
        self.process.terminate()
        self.process.wait()


class Watch(threading.Thread):
    """Notes what the provider's processes use while Terraform runs: CPU seconds in all, most resident memory of one."""

    def __init__(self, executable):
        super().__init__(daemon=True)
        self.executable = os.path.realpath(executable)
        self.cpu, self.peak, self.ended = {}, {}, threading.Event()
        self.others = set()

    def run(self):
        while not self.ended.wait(POLL):
            for pid in filter(str.isdigit, os.listdir("/proc")):
                if pid not in self.others:
                    self.look(pid)

    def look(self, pid):
        try:
            if pid not in self.cpu and os.readlink(f"/proc/{pid}/exe") != self.executable:
                # A process that is about to become the provider still has its parent's executable.
                if int(pid) < self.newest_at_start:
                    self.others.add(pid)
                return
            fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            self.cpu[pid] = (int(fields[11]) + int(fields[12])) / TICK
            for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
                if line.startswith("VmHWM:"):
                    self.peak[pid] = int(line.split()[1]) / 1024
        except (OSError, IndexError, ValueError):
            pass

    def __enter__(self):
        self.newest_at_start = int(pathlib.Path("/proc/loadavg").read_text().split()[-1])
        self.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.join()


class Workspace:
    """A folder with a configuration, in which Terraform runs."""

    def __init__(self, bench, configuration):
        self.bench = bench
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="kms-bench-"))
        (self.folder / "main.tf").write_text(configuration)
        cli = self.folder / "cli.tfrc"
        provider_folder = os.path.dirname(os.path.realpath(bench.provider))
        cli.write_text(
            f'provider_installation {{\n  dev_overrides {{ "hanzoai/kms" = "{provider_folder}" }}\n  direct {{}}\n}}\n'
        )
        self.environment = {k: v for k, v in os.environ.items() if not k.startswith(("TF_", "KMS_"))}
        self.environment |= {
            "TF_CLI_CONFIG_FILE": str(cli),
            "TF_VAR_token": TOKEN,
            "TF_IN_AUTOMATION": "1",
            "CHECKPOINT_DISABLE": "1",
            "KMS_HOST": bench.emulator.url,
            "KMS_UNIVERSAL_AUTH_CLIENT_ID": "emulator-client",
            "KMS_UNIVERSAL_AUTH_CLIENT_SECRET": "emulator-secret",
        }

    def terraform(self, *arguments, variables=None, status=0):
        """Runs it, and returns what that took. It has to end with this status."""
        self.bench.emulator.requests()
        environment = self.environment | {f"TF_VAR_{k}": str(v) for k, v in (variables or {}).items()}
        with Watch(self.bench.provider) as watch:
            began = time.perf_counter()
            done = subprocess.run(
                [self.bench.terraform, *arguments], cwd=self.folder, env=environment, capture_output=True, text=True
            )
            wall = time.perf_counter() - began
        if done.returncode != status:
            sys.exit(f"terraform {' '.join(arguments)} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")
        calls, logins, refused = self.bench.emulator.requests()
        return {
            "wall": wall,
            "cpu": sum(watch.cpu.values()),
            "peak": max(watch.peak.values(), default=0.0),
            "calls": calls,
            "logins": logins,
            "refused": refused,
        }

    def bytes_of_an_instance(self):
        """How many bytes of the state the first instance takes, as Terraform indents it."""
        state = json.loads((self.folder / "terraform.tfstate").read_text())
        lines = json.dumps(state["resources"][0]["instances"][0], indent=2).splitlines()
        return sum(len("        ") + len(line) + len("\n") for line in lines)

    def multiply(self, size, alter):
        """Makes the state's one instance into many, each altered by its index."""
        file = self.folder / "terraform.tfstate"
        state = json.loads(file.read_text())
        [resource] = state["resources"]
        [first] = resource["instances"]
        resource["instances"] = []
        for index in range(size):
            instance = json.loads(json.dumps(first)) | {"index_key": index}
            alter(instance, index)
            resource["instances"].append(instance)
        file.write_text(json.dumps(state))

    def close(self):
        shutil.rmtree(self.folder)


def connections(project):
    return f"""
terraform {{
  required_providers {{
    kms = {{ source = "hanzoai/kms" }}
  }}
}}
variable "n" {{ type = number }}
variable "note" {{ default = "a" }}
variable "token" {{ ephemeral = true }}
resource "kms_dbt_connection" "all" {{
  count        = var.n
  name         = format("bench-%05d", count.index)
  description  = var.note
  project_id   = "{project}"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.token
}}
"""


def of_many_projects():
    """Connections as `all.json` beside the configuration lists them: names and projects."""
    return """
terraform {
  required_providers {
    kms = { source = "hanzoai/kms" }
  }
}
variable "n" { type = number }
variable "token" { ephemeral = true }
locals { all = jsondecode(file("all.json")) }
resource "kms_dbt_connection" "all" {
  count        = var.n
  name         = local.all[count.index].name
  project_id   = local.all[count.index].project
  description  = "a"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.token
}
"""


def built_in(padding):
    """As many objects without a provider. Terraform writes `input` twice, so the padding decides their bytes in state."""
    return f"""
variable "n" {{ type = number }}
variable "note" {{ default = "a" }}
variable "token" {{ ephemeral = true }}
resource "terraform_data" "all" {{
  count = var.n
  input = {{
    name        = format("bench-%05d", count.index)
    description = var.note
    padding     = "{'x' * padding}"
  }}
}}
"""
