//! A KMS behind a gateway that demands headers on every request.

use kms_emulator::{Emulator, Gateway, LOGIN, Options};

use crate::harness::workspace::{Workspace, configuration, connection, under_each_terraform};

const TOKEN: &str = "dbtu_g4t3w4yR7t6y5";
const CLIENT_ID: &str = "gateway-client-N5m4b3.access";
const CLIENT_SECRET: &str = "gateway-secret-V2c1x0";

const VARIABLES: &str = "
variable \"gateway_client_id\" {
  type      = string
  sensitive = true
  ephemeral = true
  default   = null
}

variable \"gateway_client_secret\" {
  type      = string
  sensitive = true
  ephemeral = true
  default   = null
}
";

/// A workspace whose KMS is behind a gateway, and the login page to which the gateway redirects.
fn behind_gateway(version: &str) -> (Workspace, Emulator) {
    let login_page = Emulator::start_on_thread(Options::default());
    let location = login_page.url().replace("127.0.0.1", "localhost") + "/login?next=kms";
    let headers = [("CF-Access-Client-Id", CLIENT_ID), ("CF-Access-Client-Secret", CLIENT_SECRET)];
    let gateway = Gateway::with_login_page(&headers, &location);
    let workspace = Workspace::with(version, Options { gateway: Some(gateway), ..Options::default() });
    workspace.log_everything();
    workspace.set("TF_LOG_CORE", "TRACE");
    workspace.set_token(TOKEN);
    workspace.secret(CLIENT_ID);
    workspace.secret(CLIENT_SECRET);
    workspace.write("main.tf", &(configuration(&[connection("orders", &[])]) + VARIABLES));
    (workspace, login_page)
}

/// Plans, applies the plan, changes nothing, and destroys.
fn live(workspace: &Workspace) {
    let plan = workspace.plan();
    workspace.apply_plan(&plan).succeeded();
    assert_eq!(workspace.emulator.connections().len(), 1);
    workspace.assert_clean();
    workspace.destroy().succeeded();
    assert!(workspace.emulator.connections().is_empty());
}

#[test]
fn a_run_behind_a_gateway_leaves_its_headers_nowhere() {
    under_each_terraform(|version| {
        let (workspace, login_page) = behind_gateway(version);
        // From ephemeral variables, as in the example.
        let example = std::fs::read_to_string("examples/provider/provider-gateway.tf").unwrap();
        let block = example.split_once("provider \"kms\" {\n").unwrap().1.rsplit_once('}').unwrap().0;
        workspace.write_provider(block);
        workspace.set("TF_VAR_gateway_client_id", CLIENT_ID);
        workspace.set("TF_VAR_gateway_client_secret", CLIENT_SECRET);
        live(&workspace);
        // From the environment, as the CLI of the KMS takes them.
        workspace.write_provider("");
        let variable = format!("CF-Access-Client-Id={CLIENT_ID} CF-Access-Client-Secret=\"{CLIENT_SECRET}\"");
        workspace.set("KMS_CUSTOM_HEADERS", &variable);
        live(&workspace);

        let requests = workspace.emulator.requests();
        assert!(requests.iter().any(|request| request.is("POST", LOGIN)));
        assert!(requests.iter().all(|request| request.status == Some(200)), "{requests:#?}");
        assert!(login_page.requests().is_empty());
    });
}

#[test]
fn a_gateway_that_asks_for_a_login_is_named_with_what_to_set() {
    under_each_terraform(|version| {
        let (workspace, login_page) = behind_gateway(version);
        workspace.write("main.tf", "data \"kms_dbt_connections\" \"all\" {}\n");
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().summary, "Login page in front of the KMS", "{outcome:#?}");
        let login_host = login_page.url().replace("127.0.0.1", "localhost");
        let words = [&*workspace.emulator.url(), &*login_host, "asks for a login", "KMS_CUSTOM_HEADERS"];
        assert!(outcome.error().says(&words), "{outcome:#?}");
        assert!(!outcome.error().says(&["next=kms"]), "{outcome:#?}");

        workspace.secret("revoked-K8j7h6g5");
        let variable = format!("CF-Access-Client-Id={CLIENT_ID} CF-Access-Client-Secret=revoked-K8j7h6g5");
        workspace.set("KMS_CUSTOM_HEADERS", &variable);
        let outcome = workspace.failing_plan();
        let words = ["CF-Access-Client-Id and CF-Access-Client-Secret", "check the names and values"];
        assert!(outcome.error().says(&words), "{outcome:#?}");

        workspace.set("KMS_CUSTOM_HEADERS", "Authorization=revoked-K8j7h6g5");
        let outcome = workspace.failing_plan();
        assert_eq!(outcome.error().summary, "Invalid custom_headers", "{outcome:#?}");
        assert!(
            outcome.error().says(&["KMS_CUSTOM_HEADERS", "Authorization", "access token"]),
            "{outcome:#?}"
        );
        assert!(login_page.requests().is_empty());
    });
}
