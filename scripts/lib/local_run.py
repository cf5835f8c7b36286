"""What scripts/demo and scripts/live share: the build, the emulated KMS, and the search for secrets in files."""

import base64
import io
import json
import pathlib
import subprocess
import urllib.request
import zipfile

PROJECT = pathlib.Path(__file__).resolve().parent.parent.parent

# ID and secret with which the emulator lets its clients log in.
CLIENT = ("emulator-client", "emulator-secret")


class Unexpected(Exception):
    """Something isn't as the script says."""


def expect(holds, what):
    if not holds:
        raise Unexpected(f"{what}, and it is not so")


def build():
    """Builds the provider and the emulator, and gives their paths."""
    # The same targets as the tests, so that neither builds the dependencies again for the other.
    command = ["cargo", "build", "--bins", "--examples", "--message-format=json-render-diagnostics"]
    process = subprocess.run(command, cwd=PROJECT, stdout=subprocess.PIPE, encoding="utf-8", check=False)
    expect(process.returncode == 0, "cargo should build the project")
    messages = [json.loads(line) for line in process.stdout.splitlines() if line.startswith("{")]
    paths = {m["target"]["name"]: m["executable"] for m in messages if m.get("executable")}
    return paths["terraform-provider-kms"], paths["kms-emulator"]


def run_for_output(command, folder=None, environment=None):
    pipe = subprocess.PIPE
    process = subprocess.run(command, cwd=folder, env=environment, stdout=pipe, encoding="utf-8", check=False)
    expect(process.returncode == 0, f"{command[0]} should succeed")
    return process.stdout.strip()


class Emulator:
    """The emulated KMS, as long as the context lasts."""

    def __init__(self, executable, *options):
        self.command = [executable, "--port", "0", *options]

    def __enter__(self):
        # In a session of its own, for an interrupt of the terminal must not end it before all is cleaned up.
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            encoding="utf-8",
            start_new_session=True,
        )
        self.url = self.process.stdout.readline().strip().removeprefix("listening on ")
        expect(self.url.startswith("http://"), "the emulator should start")
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def admin(self, method, path, body=None):
        return call(self.url, method, f"__admin/{path}", body)


def call(url, method, path, body=None, access_token=None):
    """Calls an emulator."""
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(f"{url}/{path}", data=data, method=method)
    if data:
        request.add_header("Content-Type", "application/json")
    if access_token:
        request.add_header("Authorization", f"Bearer {access_token}")
    # The loopback address needs no proxy.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as answer:
        return json.load(answer)


def unpacked(name, data):
    """The content of a file, what is packed in it, and what it holds in base64."""
    yield data
    if zipfile.is_zipfile(io.BytesIO(data)):
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            for inner in archive.namelist():
                yield from unpacked(inner, archive.read(inner))
    elif "tfstate" in name and data.startswith(b"{"):
        for resource in json.loads(data).get("resources", []):
            for instance in resource["instances"]:
                yield base64.b64decode(instance.get("private", ""))


def count(data, text):
    """How often a text is there, as it is or in base64."""
    return sum(data.count(form) for form in forms(text))


def forms(text):
    yield text.encode()
    # It can begin at three places within a group of base64 digits.
    for offset, start in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b" " * offset + text.encode()).rstrip(b"=")
        # The first and the last digits depend on the neighbours too.
        yield encoded[start:-1]
