//! The dbt token as a secret of the KMS, which reaches a connection without touching a file.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, IDENTITY_ID, Options, PROJECT_ID, Routes, Server, StoredSecret,
    faults::{Fault, Target},
    identities::{Action, Identity, Scope},
    projects::Folder,
};
use serde_json::json;

use crate::harness::{
    capabilities::{Capability, under_each_terraform_with},
    plans::{Change, MOVED_BY_CREDENTIALS},
    workspace::{Workspace, address, configuration, connection},
};

const TOKEN: &str = "dbtc_k3ptInTh3KmsP0o9i8";
const SECRET_PATH: &str = "/api/v4/secrets/DBT_TOKEN";
const OLDER_PATH: &str = "/api/v3/secrets/raw/DBT_TOKEN";

/// The secret, with some arguments set to other expressions, or left out with an empty one.
fn secret(arguments: &[(&str, &str)]) -> String {
    let mut all = vec![
        ("name", "\"DBT_TOKEN\"".to_owned()),
        ("workspace_id", format!("{PROJECT_ID:?}")),
        ("env_slug", "\"prod\"".to_owned()),
    ];
    for (name, expression) in arguments {
        all.retain(|(known, _)| known != name);
        all.push((name, (*expression).to_owned()));
    }
    let lines: String = all.iter().map(|(name, expression)| format!("  {name} = {expression}\n")).collect();
    format!("\nephemeral \"kms_secret\" \"token\" {{\n{lines}}}\n")
}

/// Adds a secret, with its environment, its path, and its name and value.
fn add_secret(workspace: &Workspace, environment: &str, path: &str, name: &str, value: &str) {
    workspace.emulator.state().secrets.push(StoredSecret {
        workspace_id: PROJECT_ID.into(),
        environment: environment.into(),
        path: path.into(),
        name: name.into(),
        value: value.into(),
        metadata: Vec::new(),
    });
}

/// A workspace on each kind of server with each of its routes.
fn on_each_route(version: &str) -> impl Iterator<Item = Workspace> {
    let servers = [Server::Hanzo, Server::Infisical].into_iter();
    let kinds = servers.flat_map(|server| [Routes::Newer, Routes::Older].map(|routes| (server, routes)));
    kinds.map(move |(server, secret_routes)| {
        Workspace::with(version, Options { server, secret_routes, ..Options::default() })
    })
}

fn with_secret() -> String {
    connection("orders", &[("api_token", "ephemeral.kms_secret.token.value")])
}

#[test]
fn a_secret_becomes_the_token_and_is_sent_again_only_when_it_changes() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.log_everything();
        workspace.store_secret("/", TOKEN);
        workspace.write("main.tf", &configuration(&[secret(&[]), with_secret()]));
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        assert!(workspace.state("ephemeral.kms_secret.token").is_null());

        workspace.emulator.clear_requests();
        workspace.assert_clean();
        workspace.apply().succeeded();
        assert!(workspace.emulator.writes().is_empty());
        let opened = workspace.emulator.requests().iter().filter(|read| read.is("GET", SECRET_PATH)).count();
        assert!(opened > 0, "each run opens it again");

        workspace.store_secret("/", "dbtc_r0tat3dInTh3KmsL2k3");
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        workspace.apply_plan(&plan).succeeded();
        let [write] = &workspace.emulator.writes()[..] else { panic!("one write") };
        assert_eq!(write.body_keys(), ["credentials"]);
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, "dbtc_r0tat3dInTh3KmsL2k3");
        workspace.assert_clean();
    });
}

#[test]
fn all_of_a_secret_is_to_be_had() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.store_secret("/dbt/tokens", TOKEN);
        let seen = "ephemeral.kms_secret.token";
        let orders = connection(
            "orders",
            &[
                ("api_token", &format!("{seen}.value")),
                (
                    "lifecycle",
                    &format!(
                        "{{\n    precondition {{\n      condition     = {seen}.metadata.owner == \"analytics\" && {seen}.folder_path == \"/dbt/tokens\"\n      error_message = \"Not all of it is there.\"\n    }}\n  }}"
                    ),
                ),
            ],
        );
        let secret = secret(&[("folder_path", "\"/dbt/tokens\"")]);
        workspace.write("main.tf", &configuration(&[secret, orders]));
        workspace.apply().succeeded();
        workspace.assert_clean();
    });
}

#[test]
fn a_project_known_only_in_apply_costs_no_needless_write() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.store_secret("/", TOKEN);
        // Its output is not known while its replacement is planned.
        let write = |trigger: &str| {
            let later = format!(
                "\nresource \"terraform_data\" \"later\" {{\n  input            = {PROJECT_ID:?}\n  triggers_replace = {trigger:?}\n}}\n"
            );
            let secret = secret(&[("workspace_id", "terraform_data.later.output")]);
            workspace.write("main.tf", &configuration(&[later, secret, with_secret()]));
        };
        write("1");
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")).actions(), ["create"]);
        assert!(workspace.emulator.requests().iter().all(|request| !request.is("GET", SECRET_PATH)));
        workspace.apply_plan(&plan).succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
        workspace.assert_clean();
        let before = workspace.state(&address("orders"));

        workspace.emulator.clear_requests();
        write("2");
        let plan = workspace.plan();
        assert_eq!(plan.change(&address("orders")), Change::update(&[&MOVED_BY_CREDENTIALS]));
        let outcome = workspace.apply_plan(&plan).succeeded();
        assert!(outcome.warnings().is_empty(), "{outcome:#?}");
        let patches: Vec<_> =
            workspace.emulator.requests().into_iter().filter(|request| request.method == "PATCH").collect();
        assert!(patches.is_empty(), "it was the same after all: {patches:#?}");
        assert!(workspace.emulator.writes().is_empty());
        assert_eq!(workspace.state(&address("orders")), before);
        workspace.assert_clean();

        // Another one, and it is sent.
        workspace.store_secret("/", "dbtc_an0th3rOn3Aft3rAllW8");
        write("3");
        workspace.apply().succeeded();
        let [write] = &workspace.emulator.writes()[..] else { panic!("one write") };
        assert_eq!(write.body_keys(), ["credentials"]);
        workspace.assert_clean();
    });
}

#[test]
fn a_secret_that_is_not_there_is_an_error_on_the_attribute_that_names_it() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.store_secret("/", TOKEN);
        let missing = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1aff";
        let missing_project = format!("{missing:?}");
        let cases: [(&str, &str, &[&str]); 12] = [
            ("name", "\"NO_SUCH_TOKEN\"", &["\"NO_SUCH_TOKEN\"", "in / of the environment \"prod\""]),
            ("env_slug", "\"staging\"", &["Not found", "environment \"staging\""]),
            ("env_slug", "\"qa\"", &["Unknown environment", "no environment \"qa\"", "\"prod\""]),
            ("env_slug", "\"qa\"\n  folder_path = \"/elsewhere\"", &["Unknown environment", "\"qa\""]),
            ("folder_path", "\"/elsewhere\"", &["Unknown folder or environment", "in /elsewhere of"]),
            ("secret_version", "7", &["Not found", "version 7 of the secret \"DBT_TOKEN\""]),
            ("secret_version", "0", &["\"secret_version\" must be a whole number from 1"]),
            ("secret_version", "1.5", &["whole number"]),
            ("workspace_id", &missing_project, &["Unknown project", missing, "kms_project"]),
            ("name", "\"\"", &["\"name\" must not be empty"]),
            ("folder_path", "\"dbt\"", &["\"folder_path\" must begin with \"/\""]),
            ("env_slug", "null", &["\"env_slug\" is required"]),
        ];
        for (changed, expression, expected) in cases {
            let secret = secret(&[(changed, expression)]);
            workspace.write("main.tf", &configuration(&[secret, with_secret()]));
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert!(error.says(expected), "{changed} = {expression}: {error:#?}");
            // Where there is such an environment, what is missing is the secret.
            let named = if changed == "env_slug" && error.summary == "Not found" { "name" } else { changed };
            assert_eq!(error.attribute, named, "{changed} = {expression}: {error:#?}");
        }
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_secret_is_read_over_the_route_that_the_server_has() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        for (secret_routes, served, other) in [
            (Routes::Both, SECRET_PATH, OLDER_PATH),
            (Routes::Newer, SECRET_PATH, OLDER_PATH),
            (Routes::Older, OLDER_PATH, SECRET_PATH),
        ] {
            let workspace = Workspace::with(version, Options { secret_routes, ..Options::default() });
            workspace.store_secret("/", TOKEN);
            // The same secret twice, in one run.
            let again = secret(&[]).replace("\"token\"", "\"again\"");
            let mut parts = vec![secret(&[]), again, with_secret()];
            parts.push(connection("sales", &[("api_token", "ephemeral.kms_secret.again.value")]));
            workspace.write("main.tf", &configuration(&parts));
            workspace.plan();
            let count =
                |path| workspace.emulator.requests().iter().filter(|read| read.is("GET", path)).count();
            assert_eq!(count(served), 2, "{secret_routes:?}");
            // One is enough to find out that a route isn't there.
            assert_eq!(count(other), usize::from(secret_routes == Routes::Older), "{secret_routes:?}");
            workspace.apply().succeeded();
            let id = workspace.emulator.connection("orders").id;
            assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN, "{secret_routes:?}");
        }
    });
}

#[test]
fn a_pinned_version_stays_while_the_secret_changes() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        for secret_routes in [Routes::Newer, Routes::Older] {
            let workspace = Workspace::with(version, Options { secret_routes, ..Options::default() });
            let later = "dbtc_s3c0ndV3rs10nV8c7x";
            for token in [TOKEN, later] {
                workspace.secret(token);
            }
            let folder = Folder::new(PROJECT_ID, "prod", "/");
            workspace.emulator.state().make_secret(&folder, "DBT_TOKEN", TOKEN, "rotation-1");
            let write = |pinned: &[(&str, &str)]| {
                workspace.write("main.tf", &configuration(&[secret(pinned), with_secret()]));
            };
            write(&[("secret_version", "1")]);
            workspace.apply().succeeded();
            let id = workspace.emulator.connection("orders").id;
            let change = |version: &mut kms_emulator::secrets::SecretVersion| version.value = later.into();
            workspace.emulator.state().write_secret(&folder, "DBT_TOKEN", change).unwrap();
            workspace.assert_clean();
            assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);

            write(&[]);
            workspace.apply().succeeded();
            assert_eq!(workspace.emulator.stored_credentials(&id).api_token, later);
            workspace.assert_clean();
        }
    });
}

#[test]
fn a_value_that_is_not_shown_is_a_clear_error_and_no_mask_is_taken_for_it() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
            .without(Action::ReadSecret, Scope::Everywhere);
        let workspace =
            Workspace::with(version, Options { identities: vec![identity], ..Options::default() });
        workspace.store_secret("/", TOKEN);
        workspace.write("main.tf", &configuration(&[secret(&[]), with_secret()]));
        let assert_not_shown = || {
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            assert!(error.says(&["Value of the secret not shown", "may not see its value"]), "{error:#?}");
            assert_eq!(error.attribute, "name");
        };
        assert_not_shown();

        // Servers may also show a mask.
        let masked = json!({"secretKey": "DBT_TOKEN", "secretValue": "<hidden-by-kms>", "secretValueHidden": true, "version": 1});
        let body = json!({"secret": masked});
        workspace.emulator.fault(Target::every("GET", SECRET_PATH), Fault::Answer { status: 200, body });
        assert_not_shown();
        assert!(workspace.emulator.writes().is_empty());
    });
}

#[test]
fn a_reference_to_another_secret_is_expanded_unless_it_is_turned_off() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        for workspace in on_each_route(version) {
            let (start, rest) = TOKEN.split_at(5);
            workspace.secret(TOKEN);
            workspace.store_secret("/common", rest);
            add_secret(&workspace, "dev", "/", "POINTER", "${prod.common.DBT_TOKEN}");
            add_secret(&workspace, "prod", "/", "REF", &format!("{start}${{dev.POINTER}}"));
            let write = |arguments: &[(&str, &str)]| {
                let arguments = [&[("name", "\"REF\"")], arguments].concat();
                workspace.write("main.tf", &configuration(&[secret(&arguments), with_secret()]));
            };
            write(&[]);
            workspace.apply().succeeded();
            let stored = || {
                let id = workspace.emulator.connection("orders").id;
                workspace.emulator.stored_credentials(&id).api_token
            };
            assert_eq!(stored(), TOKEN);
            workspace.assert_clean();

            write(&[("expand_references", "false")]);
            workspace.apply().succeeded();
            assert_eq!(stored(), format!("{start}${{dev.POINTER}}"));
        }
    });
}

#[test]
fn a_value_that_still_holds_a_reference_is_an_error_that_names_it() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        let workspace = Workspace::new(version);
        workspace.write("main.tf", &configuration(&[secret(&[]), with_secret()]));
        for (value, named) in [
            ("${NONE}", "${NONE}"),
            ("${DBT_TOKEN}", "${DBT_TOKEN}"),
            ("dbtc_${prod.none.A}_${qa.B-1}", "${prod.none.A}, ${qa.B-1}"),
        ] {
            workspace.emulator.state().secrets.clear();
            add_secret(&workspace, "prod", "/", "DBT_TOKEN", value);
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            let expected = [
                "Unresolved secret reference",
                "read the secret \"DBT_TOKEN\"",
                named,
                "expand_references = false",
            ];
            assert!(error.says(&expected), "{value}: {error:#?}");
            assert_eq!(error.attribute, "name");
        }
        assert!(workspace.emulator.writes().is_empty());

        workspace.store_secret("/", "dbtc_$5_${}_${A B}_$A");
        workspace.apply().succeeded();
        let id = workspace.emulator.connection("orders").id;
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, "dbtc_$5_${}_${A B}_$A");

        let literal = secret(&[("expand_references", "false")]);
        workspace.write("main.tf", &configuration(&[literal, with_secret()]));
        workspace.store_secret("/", "dbtc_${NONE}");
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.stored_credentials(&id).api_token, "dbtc_${NONE}");
    });
}

#[test]
fn a_reference_to_a_secret_that_may_not_be_read_is_named() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        for server in [Server::Hanzo, Server::Infisical] {
            let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET)
                .without(Action::ReadSecret, Scope::Path("/closed".into()));
            let options = Options { server, identities: vec![identity], ..Options::default() };
            let workspace = Workspace::with(version, options);
            workspace.store_secret("/", "${prod.closed.TOKEN}");
            add_secret(&workspace, "prod", "/closed", "TOKEN", TOKEN);
            workspace.write("main.tf", &configuration(&[secret(&[]), with_secret()]));
            let outcome = workspace.failing_plan();
            let error = outcome.error();
            let expected = [
                "Not allowed to read a referenced secret",
                "read the secret \"DBT_TOKEN\"",
                "'TOKEN' in environment 'prod' at path '/closed'",
            ];
            assert!(error.says(&expected), "{error:#?}");
            assert_eq!(error.attribute, "name");
        }
    });
}

#[test]
fn a_secret_that_the_folder_imports_is_found_unless_imports_are_turned_off() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        for workspace in on_each_route(version) {
            workspace.store_secret("/dbt", TOKEN);
            workspace.emulator.make_folder(PROJECT_ID, "dev", "/team");
            let folder = |environment: &str, path: &str| Folder::new(PROJECT_ID, environment, path);
            workspace.emulator.state().import_folder(folder("dev", "/team"), folder("prod", "/dbt"));
            let here = [("env_slug", "\"dev\""), ("folder_path", "\"/team\"")];
            let write = |arguments: &[(&str, &str)]| {
                let arguments = [&here, arguments].concat();
                workspace.write("main.tf", &configuration(&[secret(&arguments), with_secret()]));
            };
            write(&[]);
            workspace.apply().succeeded();
            let id = workspace.emulator.connection("orders").id;
            assert_eq!(workspace.emulator.stored_credentials(&id).api_token, TOKEN);
            workspace.assert_clean();

            // Without imports, and for a version: only the folder's own secrets have those.
            for (argument, value) in [("include_imports", "false"), ("secret_version", "1")] {
                write(&[(argument, value)]);
                let outcome = workspace.failing_plan();
                let error = outcome.error();
                assert!(error.says(&["Not found", "\"DBT_TOKEN\""]), "{argument}: {error:#?}");
            }
        }
    });
}

#[test]
fn a_destroy_without_refresh_needs_no_secret_and_the_error_says_so() {
    under_each_terraform_with(Capability::EphemeralValues, |version| {
        // In the second case, the folder is gone as well.
        for path in ["/", "/dbt"] {
            let workspace = Workspace::new(version);
            workspace.store_secret(path, TOKEN);
            let secret = secret(&[("folder_path", &format!("{path:?}"))]);
            workspace.write("main.tf", &configuration(&[secret, with_secret()]));
            workspace.apply().succeeded();
            workspace.emulator.state().secrets.clear();

            let failed = workspace.destroy();
            let error = failed.error();
            assert!(error.says(&["terraform destroy -refresh=false"]), "{error:#?}");
            workspace.run(&["destroy", "-json", "-auto-approve", "-refresh=false"]).succeeded();
            assert!(workspace.emulator.connections().is_empty());
        }
    });
}
