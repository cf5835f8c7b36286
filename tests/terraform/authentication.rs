//! The provider block: where the host and the credentials come from, and what is said when they are no good.

use kms_emulator::{
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, CLIENT_ID, CLIENT_SECRET, IDENTITY_ID, JWT, LOGIN, Options,
    STATIC_TOKEN,
};

use crate::harness::workspace::{Outcome, Workspace, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_4uth3nt1c4t3Z9x8c7";

/// A configuration whose plan needs the API, with these arguments in the provider block.
fn configure(workspace: &Workspace, arguments: &str) {
    workspace.set_token(TOKEN);
    let secret = "variable \"secret\" {\n  type      = string\n  ephemeral = true\n  default   = null\n}\n";
    workspace.write_provider(arguments);
    workspace.write("main.tf", &format!("{secret}data \"kms_dbt_connections\" \"all\" {{}}\n"));
}

fn without_environment(version: &str, options: Options) -> Workspace {
    let workspace = Workspace::with(version, options);
    workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_ID");
    workspace.unset("KMS_UNIVERSAL_AUTH_CLIENT_SECRET");
    workspace
}

fn logins(workspace: &Workspace) -> usize {
    workspace.emulator.requests().iter().filter(|request| request.path.ends_with("/login")).count()
}

#[test]
fn every_method_logs_in() {
    under_each_terraform(|version| {
        let workspace = without_environment(version, Options::default());
        for secret in [JWT, STATIC_TOKEN, AWS_SECRET_ACCESS_KEY] {
            workspace.secret(secret);
        }
        workspace.set("EMULATOR_JWT", JWT);
        workspace.set("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID);
        workspace.set("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY);
        workspace.set("AWS_REGION", "eu-west-1");
        let universal = format!("client_id = \"{CLIENT_ID}\", client_secret = var.secret");
        let aliases = format!("  client_id     = \"{CLIENT_ID}\"\n  client_secret = var.secret");
        let oidc =
            format!("identity_id = \"{IDENTITY_ID}\", token_environment_variable_name = \"EMULATOR_JWT\"");
        for (secret, arguments) in [
            (CLIENT_SECRET, format!("  auth = {{ universal = {{ {universal} }} }}")),
            (
                CLIENT_SECRET,
                format!("  auth = {{ universal = {{ {universal} }}, organization_slug = \"branch\" }}"),
            ),
            (CLIENT_SECRET, aliases),
            (STATIC_TOKEN, "  auth = { token = var.secret }".into()),
            (JWT, format!("  auth = {{ oidc = {{ {oidc} }} }}")),
            (
                JWT,
                format!(
                    "  auth = {{ kubernetes = {{ identity_id = \"{IDENTITY_ID}\", service_account_token = var.secret }} }}"
                ),
            ),
            ("", format!("  auth = {{ aws_iam = {{ identity_id = \"{IDENTITY_ID}\" }} }}")),
        ] {
            workspace.set("TF_VAR_secret", secret);
            configure(&workspace, &arguments);
            let outcome = workspace.run(&["plan", "-json"]);
            assert_eq!(outcome.code, Some(0), "{arguments}: {outcome:#?}");
        }
    });
}

#[test]
fn the_environment_alone_is_enough_and_the_configuration_wins() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        configure(&workspace, "");
        workspace.run(&["plan", "-json"]).succeeded();

        // What the configuration says takes the place of what the environment says.
        workspace.set("KMS_HOST", "https://kms.invalid");
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", "wrong-in-the-environment");
        workspace.set("TF_VAR_secret", CLIENT_SECRET);
        for suffix in ["", "/", "/api", "/api/v1/"] {
            let host = workspace.emulator.url();
            let universal = format!("{{ client_id = \"{CLIENT_ID}\", client_secret = var.secret }}");
            configure(
                &workspace,
                &format!("  host = \"{host}{suffix}\"\n  auth = {{ universal = {universal} }}"),
            );
            workspace.run(&["plan", "-json"]).succeeded();
        }
    });
}

#[test]
fn a_wrong_secret_is_tried_once() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        configure(&workspace, "");
        workspace.set("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", "wrong-secret-N8b7v6");
        workspace.secret("wrong-secret-N8b7v6");
        let connections = ["one", "two", "three"].map(|label| connection(label, &[]));
        workspace.write("main.tf", &configuration(&connections));
        let outcome = workspace.apply().failed();
        assert!(
            outcome.errors().iter().all(|error| error.says(&["Invalid credentials", "req-"])),
            "{outcome:#?}"
        );
        assert_eq!(logins(&workspace), 1, "three wrong secrets would lock the identity out");
    });
}

#[test]
fn two_methods_or_none_are_an_error_that_says_what_was_found() {
    under_each_terraform(|version| {
        let found = |outcome: &Outcome, words: &[&str]| {
            assert!(outcome.error().says(words), "{outcome:#?}");
        };
        let workspace = without_environment(version, Options::default());
        configure(&workspace, "");
        found(&workspace.failing_plan(), &["KMS_UNIVERSAL_AUTH_CLIENT_ID", "KMS_TOKEN"]);

        workspace.set("KMS_TOKEN", STATIC_TOKEN);
        workspace.set("TF_VAR_secret", CLIENT_SECRET);
        workspace.run(&["plan", "-json"]).succeeded();
        let oidc = format!("oidc = {{ identity_id = \"{IDENTITY_ID}\" }}");
        let universal = format!("universal = {{ client_id = \"{CLIENT_ID}\", client_secret = var.secret }}");
        configure(&workspace, &format!("  auth = {{ {universal}, {oidc} }}"));
        found(&workspace.failing_plan(), &["universal", "oidc"]);

        workspace.unset("KMS_TOKEN");
        configure(&workspace, &format!("  auth = {{ universal = {{ client_id = \"{CLIENT_ID}\" }} }}"));
        found(&workspace.failing_plan(), &["client_secret", "KMS_UNIVERSAL_AUTH_CLIENT_SECRET"]);
        assert_eq!(logins(&workspace), 0);
    });
}

#[test]
fn tokens_that_run_out_in_mid_run_are_renewed() {
    under_each_terraform(|version| {
        let options = Options { access_token_uses: Some(3), ..Options::default() };
        let workspace = Workspace::with(version, options);
        workspace.set_token(TOKEN);
        let labels = ["one", "two", "three", "four", "five", "six", "seven"];
        workspace.write("main.tf", &configuration(&labels.map(|label| connection(label, &[]))));
        workspace.apply().succeeded();
        assert_eq!(workspace.emulator.connections().len(), 7);
        let logins = workspace.emulator.requests().into_iter().filter(|request| request.is("POST", LOGIN));
        assert!(logins.clone().all(|login| login.header("authorization").is_none()));
        assert!((3..=7).contains(&logins.count()), "a renewal is shared by all that wait for it");
        workspace.emulator.expire_tokens();
        workspace.assert_clean();
    });
}

#[test]
fn plain_http_is_for_loopback_only() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        configure(&workspace, "  host = \"http://kms.example.com\"");
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().attribute, "host", "{outcome:#?}");
        assert!(outcome.error().says(&["https", "allow_plain_http"]), "{outcome:#?}");
    });
}

#[test]
fn a_private_authority_is_trusted_when_it_is_configured() {
    under_each_terraform(|version| {
        let workspace = Workspace::with(version, Options { tls: true, ..Options::default() });
        let pem = workspace.emulator.ca_pem().unwrap().to_owned();
        workspace.write("authority.pem", &pem);
        workspace.set("KMS_MAX_RETRIES", "0");
        configure(&workspace, "");
        let outcome = workspace.failing_plan();
        assert!(outcome.error().says(&["certificate", "ca_certificate"]), "{outcome:#?}");

        for arguments in
            ["  ca_certificate_file = \"authority.pem\"", "  ca_certificate_pem = file(\"authority.pem\")"]
        {
            configure(&workspace, arguments);
            workspace.run(&["plan", "-json"]).succeeded();
        }
        configure(&workspace, "");
        workspace.set("KMS_CA_CERTIFICATE_FILE", "authority.pem");
        workspace.run(&["plan", "-json"]).succeeded();

        configure(&workspace, "  ca_certificate_file = \"no-such-file.pem\"");
        workspace.unset("KMS_CA_CERTIFICATE_FILE");
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().attribute, "ca_certificate_file", "{outcome:#?}");
    });
}
