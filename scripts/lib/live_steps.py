"""The steps of scripts/live: each a sentence of what is expected, and a function that holds a server to it.

A function gets a world and raises `Unexpected` when something isn't as expected. What else it observes is only compared.
"""

import dataclasses
import json
import typing

from live_kms import CONNECTIONS, ROTATIONS
from live_world import shape
from local_run import count, expect, unpacked

CONNECTION = "kms_dbt_connection.it"
ROTATION = "kms_dbt_service_token_rotation.it"
NOWHERE = "00000000-0000-4000-8000-000000000000"

ALL = []


@dataclasses.dataclass
class Step:
    """One row of the table."""

    name: str
    expected: str
    run: typing.Callable
    # What has to be given, or has to be in Terraform.
    requires: tuple
    # The steps without which this one means nothing.
    after: tuple
    # What `--only` chooses it by; `None` for a step of every run.
    part: str | None


def step(name, expected, part, requires=(), after=()):
    def register(function):
        ALL.append(Step(name, expected, function, requires, after, part))
        return function

    return register


def block(kind, label, arguments):
    """A block with these arguments, which are HCL expressions; `None` leaves one out."""
    lines = "".join(f"  {name} = {value}\n" for name, value in arguments.items() if value is not None)
    return f'{kind} "{label}" {{\n{lines}}}\n'


def connection(world, label="it", **changed):
    usual = {
        "name": quoted(f"{world.prefix}org"),
        "description": '"Made by make live, and removed by it"',
        "instance_url": quoted(world.dbt.instance_url),
        "account_id": quoted(world.dbt.account_id),
        "api_token": "var.dbt_token",
    }
    return block('resource "kms_dbt_connection"', label, usual | changed)


def rotation(world, **changed):
    usual = {
        "name": quoted(f"{world.prefix}rotation"),
        "project_id": quoted(world.project.id),
        "connection_id": f"{CONNECTION}.id",
        "environment": quoted(world.project.environment),
        "secret_path": quoted(world.project.path),
        "secret_name": quoted(secret_name(world)),
        "token_name": quoted(f"{world.prefix}token"),
        # What can do the least at dbt.
        "permission_grants": '[{ permission_set = "metadata_only" }]',
    }
    return block('resource "kms_dbt_service_token_rotation"', "it", usual | changed)


def secret_name(world):
    return f"{world.prefix}token".upper().replace("-", "_")


def quoted(text):
    return json.dumps(text)


def error_on(run, attribute):
    places = [one["attribute"] for one in run.errors()]
    expect(places == [attribute], f"there should be one error, on {attribute}; there are errors on {places}")


def same(changes, expected):
    expect(changes == expected, f"the plan should be {expected}; it is {changes}")


def has_request(run, method, path, status):
    expect((method, path, status) in run.requests, f"{method} {path} should be answered with {status}")


# What needs nothing but a login.


@step("unknown connection", "error, GET answers 404", "reads")
def unknown_connection(world):
    root = world.root("unknown")
    root.write(block('data "kms_dbt_connection"', "it", {"id": quoted(NOWHERE)}))
    run = root.failing("plan")
    has_request(run, "GET", f"{CONNECTIONS}/{NOWHERE}", "404")
    expect(len(run.errors()) == 1, "there should be one error")


@step("unknown project", "error on slug", "reads")
def unknown_project(world):
    root = world.root("unknown")
    root.write(block('data "kms_project"', "it", {"slug": quoted(f"{world.prefix}none")}))
    error_on(root.failing("plan"), "slug")


@step("all connections", "the list can be read", "reads")
def all_connections(world):
    root = world.root("lists")
    root.write(block('data "kms_dbt_connections"', "all", {"all_projects": "true"}))
    same(root.plan(), {})


@step("the project", "data source finds it by slug and by ID", "reads", requires=("project",))
def the_project(world):
    root = world.root("lists")
    by_id = block('data "kms_project"', "by_id", {"id": quoted(world.project.id)})
    by_slug = block('data "kms_project"', "by_slug", {"slug": quoted(world.project.slug)})
    agree = "data.kms_project.by_id.id == data.kms_project.by_slug.id"
    root.write(by_id, by_slug, block("output", "agree", {"value": agree}))
    expect(outputs(root) == {"agree": True}, "both should be the same project")


# The life of a connection.


@step("wrong token", "error on api_token, nothing created", "connection", requires=("dbt",))
def wrong_token(world):
    root = world.root("wrong")
    root.write(connection(world, name=quoted(f"{world.prefix}wrong")))
    # Of no form that dbt has, so that it can't be anybody's.
    wrong = f"wrong-{world.prefix}token"
    same(root.plan(token=wrong), {CONNECTION: ["create"]})
    error_on(root.failing("apply", "-auto-approve", token=wrong), "api_token")
    expect(f"{world.prefix}wrong" not in world.names(), "nothing should be created")


@step("unknown project ID", "error on project_id, nothing created", "connection", requires=("dbt",))
def bad_project(world):
    root = world.root("wrong")
    root.write(connection(world, name=quoted(f"{world.prefix}nowhere"), project_id=quoted(NOWHERE)))
    error_on(root.failing("apply", "-auto-approve"), "project_id")
    expect(f"{world.prefix}nowhere" not in world.names(), "nothing should be created")


@step("create without project", "created, next plan empty", "connection", requires=("dbt",))
def create(world):
    root = world.root("connection")
    root.write(connection(world))
    same(root.plan(), {CONNECTION: ["create"]})
    root.apply()
    state = root.state(CONNECTION)
    expect(state["api_token"] is None, "api_token should be null in state")
    status, answer = world.api("GET", f"{CONNECTIONS}/{state['id']}")
    expect(status == 200, "the KMS should show the connection")
    for field in shape(answer):
        world.see("JSON of a connection", field)
    root.clean()


@step("update", "PATCH of name and description, next plan empty", "connection", after=("create without project",))
def update(world):
    root = world.root("connection")
    before = root.state(CONNECTION)
    root.write(connection(world, name=quoted(f"{world.prefix}renamed"), description="null"))
    same(root.applied(), {CONNECTION: ["update"]})
    expect(root.state(CONNECTION)["id"] == before["id"], "the ID should stay")
    hash_stays(root, before)
    root.clean()


def hash_stays(root, before):
    now = root.state(CONNECTION)["credentials_hash"]
    expect(now == before["credentials_hash"], "credentials_hash should stay, for no credentials were sent")


@step("token sent again", "credentials_hash changes", "connection", after=("update",))
def token_again(world):
    root = world.root("connection")
    before = root.state(CONNECTION)
    root.write(connection(world, name=quoted(f"{world.prefix}renamed"), description="null", api_token_version='"2"'))
    same(root.applied(), {CONNECTION: ["update"]})
    now = root.state(CONNECTION)["credentials_hash"]
    expect(now != before["credentials_hash"], "credentials_hash should change with each write of credentials")
    root.clean()


@step("taken name", "error on name", "connection", after=("update",))
def taken_name(world):
    root = world.root("taken")
    root.write(connection(world, name=quoted(f"{world.prefix}renamed")))
    error_on(root.failing("apply", "-auto-approve"), "name")
    expect(world.names().count(f"{world.prefix}renamed") == 1, "there should still be one connection of the name")


@step("edited elsewhere", "drift of description, put right", "connection", after=("token sent again",))
def edited_elsewhere(world):
    root = world.root("connection")
    state = root.state(CONNECTION)
    status, _ = world.api("PATCH", f"{CONNECTIONS}/{state['id']}", {"description": "Edited elsewhere"})
    expect(status == 200, "the KMS should take another description")
    same(root.applied(), {CONNECTION: ["update"]})
    hash_stays(root, state)
    root.clean()


@step("import by ID and name", "imported, nothing to change", "connection", after=("update",))
def imports(world):
    state = world.root("connection").state(CONNECTION)
    for how, given in (("id", state["id"]), ("name", state["name"])):
        imported(world.root(f"import-{how}"), world, state, f"id = {quoted(given)}")


@step("import by identity", "imported, nothing to change", "connection", requires=("identity",), after=("update",))
def import_by_identity(world):
    state = world.root("connection").state(CONNECTION)
    imported(world.root("import-identity"), world, state, f"identity = {{ id = {quoted(state['id'])} }}")


def imported(root, world, state, how):
    """Imports the connection of a state into another one. Without a token, nothing is sent."""
    arguments = {"name": quoted(state["name"]), "api_token": None, "description": quoted(state["description"])}
    if state["project_id"]:
        arguments["project_id"] = quoted(state["project_id"])
    root.write(connection(world, **arguments), f"import {{\n  to = {CONNECTION}\n  {how}\n}}\n")
    same(root.plan(), {CONNECTION: ["import"]})
    root.apply()
    for name in ("id", "name", "project_id", "credentials_hash"):
        expect(root.state(CONNECTION)[name] == state[name], f"{name} should be that of the connection")


@step("data sources", "find it by ID, by name and in the list", "connection", after=("update",))
def data_sources(world):
    state = world.root("connection").state(CONNECTION)
    root = world.root("data")
    found = f"[for one in data.kms_dbt_connections.all.connections : one.id if one.id == {quoted(state['id'])}]"
    root.write(
        block('data "kms_dbt_connection"', "by_id", {"id": quoted(state["id"])}),
        block('data "kms_dbt_connection"', "by_name", {"name": quoted(state["name"])}),
        'data "kms_dbt_connections" "all" {}\n',
        block("output", "by_id", {"value": "data.kms_dbt_connection.by_id.name"}),
        block("output", "by_name", {"value": "data.kms_dbt_connection.by_name.id"}),
        block("output", "list", {"value": found}),
    )
    expected = {"by_id": state["name"], "by_name": state["id"], "list": [state["id"]]}
    expect(outputs(root) == expected, "each should find the connection")


def outputs(root):
    """The outputs of a configuration, which are known while planning."""
    root.applied()
    state = json.loads((root.folder / "terraform.tfstate").read_text())
    return {name: output["value"] for name, output in state["outputs"].items()}


@step("terraform query", "finds it", "connection", requires=("query",), after=("update",))
def query(world):
    listed(world, "kms_dbt_connection", {"name_prefix": quoted(world.prefix)}, f"{world.prefix}renamed")


def listed(world, kind, config, name):
    root = world.root("query")
    root.write()
    arguments = "".join(f"    {argument} = {value}\n" for argument, value in config.items())
    text = f'list "{kind}" "it" {{\n  provider = kms\n  config {{\n{arguments}  }}\n}}\n'
    (root.folder / "find.tfquery.hcl").write_text(text)
    run = root.run("query")
    root.succeeded(run, "query")
    found = [event["list_resource_found"] for event in run.events if event.get("type") == "list_resource_found"]
    names = [one["display_name"] for one in found]
    expect(name in names, f"the query should find {name}")


@step("kms_dbt_projects", "dbt takes the stored token", "connection", after=("update",))
def dbt_projects(world):
    root = world.root("projects")
    of = quoted(world.root("connection").state(CONNECTION)["id"])
    root.write(block('data "kms_dbt_projects"', "it", {"connection_id": of}))
    same(root.plan(), {})


@step("test action", "dbt takes the stored token", "connection", requires=("actions",), after=("update",))
def test_action(world):
    invoke(world, "kms_dbt_connection_test", "connection_id", world.root("connection").state(CONNECTION)["id"])


def invoke(world, kind, argument, value):
    root = world.root("action")
    root.write(f'action "{kind}" "it" {{\n  config {{\n    {argument} = {quoted(value)}\n  }}\n}}\n')
    run = root.run("apply", "-input=false", "-auto-approve", f"-invoke=action.{kind}.it")
    root.succeeded(run, "apply -invoke")


@step("deleted elsewhere", "planned for creation, created again", "connection", after=("edited elsewhere",))
def deleted_elsewhere(world):
    root = world.root("connection")
    before = root.state(CONNECTION)["id"]
    status, _ = world.api("DELETE", f"{CONNECTIONS}/{before}")
    expect(status == 200, "the KMS should delete the connection")
    same(root.applied(), {CONNECTION: ["create"]})
    expect(root.state(CONNECTION)["id"] != before, "there should be a new connection")
    root.clean()


@step("destroy", "deleted", "connection", after=("create without project",))
def destroy(world):
    root = world.root("connection")
    connection_id = root.state(CONNECTION)["id"]
    root.destroy()
    status, _ = world.api("GET", f"{CONNECTIONS}/{connection_id}")
    expect(status == 404, "the KMS should have no such connection")


# The life of a rotation, and of the connection in a project that it needs.

NEEDS = ("dbt", "project", "environment")


def in_project(world, name="project"):
    return connection(world, name=quoted(f"{world.prefix}{name}"), project_id=quoted(world.project.id))


@step("create with project", "created, imported by project and name", "project", requires=("dbt", "project"))
def create_in_project(world):
    root = world.root("project")
    root.write(in_project(world))
    same(root.applied(), {CONNECTION: ["create"]})
    root.clean()
    state = root.state(CONNECTION)
    imported(world.root("import-project"), world, state, f'id = "{world.project.id}/{state["name"]}"')


@step("destroy of what is gone", "DELETE answers 404, accepted", "project", after=("create with project",))
def destroy_gone(world):
    root = world.root("project")
    path = f"{CONNECTIONS}/{root.state(CONNECTION)['id']}"
    status, _ = world.api("DELETE", path)
    expect(status == 200, "the KMS should delete the connection")
    has_request(root.destroy("-refresh=false"), "DELETE", path, "404")


@step("create rotation", "created with its secret, next plan empty", "rotation", requires=NEEDS)
def create_rotation(world):
    root = world.root("rotation")
    root.write(in_project(world), rotation(world))
    same(root.applied(), {CONNECTION: ["create"], ROTATION: ["create"]})
    status, answer = world.api("GET", f"{ROTATIONS}/{root.state(ROTATION)['id']}")
    expect(status == 200, "the KMS should show the rotation")
    for field in shape(answer):
        world.see("JSON of a rotation", field)
    root.clean()


@step("update rotation", "PATCH, next plan empty", "rotation", after=("create rotation",))
def update_rotation(world):
    root = world.root("rotation")
    before = root.state(ROTATION)
    root.write(in_project(world), rotation(world, description='"Updated"', rotation_interval="45"))
    same(root.applied(), {ROTATION: ["update"]})
    after = root.state(ROTATION)
    expect(after["last_rotated_at"] == before["last_rotated_at"], "an update should not rotate")
    root.clean()


@step("import rotation", "by ID and path, nothing to change", "rotation", after=("update rotation",))
def import_rotation(world):
    state = world.root("rotation").state(ROTATION)
    folder = world.project.path.strip("/")
    path = "/".join(filter(None, (world.project.id, world.project.environment, folder, state["name"])))
    for how, given in (("id", state["id"]), ("path", path)):
        root = world.root(f"import-rotation-{how}")
        changed = {
            "connection_id": quoted(state["connection_id"]),
            "description": '"Updated"',
            "rotation_interval": "45",
        }
        text = rotation(world, **changed)
        root.write(text, f"import {{\n  to = {ROTATION}\n  id = {quoted(given)}\n}}\n")
        same(root.plan(), {ROTATION: ["import"]})


@step("query of rotations", "finds it", "rotation", requires=("query",), after=("create rotation",))
def query_rotations(world):
    config = {"project_id": quoted(world.project.id)}
    listed(world, "kms_dbt_service_token_rotation", config, f"{world.prefix}rotation")


@step("ephemeral secret", "has a service token", "rotation", after=("create rotation",))
def ephemeral_secret(world):
    root = world.root("secret")
    root.write(secret(world))
    # Terraform 1.11 can't show a plan that has nothing but an ephemeral value.
    root.succeeded(root.run("plan", "-input=false"), "plan")


def secret(world):
    return f"""\
ephemeral "kms_secret" "it" {{
  name         = {quoted(secret_name(world))}
  workspace_id = {quoted(world.project.id)}
  env_slug     = {quoted(world.project.environment)}
  folder_path  = {quoted(world.project.path)}

  lifecycle {{
    postcondition {{
      condition     = length(self.value) >= 8
      error_message = "The secret holds no token."
    }}
  }}
}}
"""


@step("rotate action", "last_rotated_at moves, next plan empty", "rotation", ("actions",), ("update rotation",))
def rotate_now(world):
    root = world.root("rotation")
    before = root.state(ROTATION)
    invoke(world, "kms_dbt_service_token_rotate", "rotation_id", before["id"])
    root.applied()
    expect(root.state(ROTATION)["last_rotated_at"] != before["last_rotated_at"], "last_rotated_at should move")
    root.clean()


@step("connection in use", "DELETE of it answers 400", "rotation", after=("create rotation",))
def in_use(world):
    root = world.root("rotation")
    status, _ = world.api("DELETE", f"{CONNECTIONS}/{root.state(CONNECTION)['id']}")
    expect(status == 400, "the KMS should refuse to delete a connection that a rotation uses")


@step("destroy rotation", "deleted with its secret and its tokens", "rotation", after=("create rotation",))
def destroy_rotation(world):
    root = world.root("rotation")
    rotation_id = root.state(ROTATION)["id"]
    root.destroy()
    status, _ = world.api("GET", f"{ROTATIONS}/{rotation_id}")
    expect(status == 404, "the KMS should have no such rotation")
    gone = world.root("secret")
    gone.write(secret(world))
    gone.failing("plan")
    left = {f"{world.prefix}project", f"{world.prefix}rotation"} & set(world.names())
    expect(not left, "rotation and connection should be gone")


@step("secrets", "none in any file or output", None)
def secrets_in_files(world):
    """Comes last: it searches what all the others have written."""
    secrets = [secret for secret in world.kms.secrets if secret]
    secrets += [world.dbt.token] if world.dbt else []
    files = list(world.transcript)
    for path in world.scratch.rglob("*"):
        if path.is_file():
            files += [(path.name, piece) for piece in unpacked(path.name, path.read_bytes())]
    expect(any(b"request to the KMS" in data for _, data in files), "the provider should have logged")
    found = sorted({name for name, data in files for secret in secrets if count(data, secret)})
    expect(not found, f"no secret should be in {', '.join(found)}")
