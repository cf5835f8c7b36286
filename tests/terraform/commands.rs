//! Commands and configurations of the pages, as they are there. `tests/docs/commands.rs` holds each page to having none
//! that isn't tried here or elsewhere.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use kms_emulator::{CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, Gateway, Options};

use crate::{
    blocks::{self, Block},
    examples::files_under,
    from_dbt_to_airflow,
    harness::{
        capabilities::under_each_terraform_with,
        clients,
        releases::Capability,
        workspace::{Workspace, under_each_terraform},
    },
};

const TOKEN: &str = "dbtu_fr0mThePagesQ9w8e7";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The blocks of a page that name a test of this file as the one that runs them, with what is only an example replaced.
fn blocks_for(page: &str, test: &str, workspace: &Workspace) -> Vec<String> {
    let comment = format!("tests/terraform/commands.rs: {test}");
    let blocks = blocks::of(page).into_iter();
    let blocks: Vec<String> =
        blocks.filter(|block| block.comment("run by ") == Some(&comment)).map(|block| block.code).collect();
    assert!(!blocks.is_empty(), "{page} has no block for {test}");
    let fill = |code: String| {
        code.replace("https://kms.example.com", &workspace.emulator.url())
            .replace("CLIENT_ID=...", &format!("CLIENT_ID={CLIENT_ID}"))
            .replace("CLIENT_SECRET=...", &format!("CLIENT_SECRET={CLIENT_SECRET}"))
    };
    blocks.into_iter().map(fill).collect()
}

/// Blocks of configuration in a page.
fn configurations(page: &str) -> Vec<Block> {
    blocks::of(page).into_iter().filter(|block| block.language == "terraform").collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A workspace without the variables that the provider logs in with, and with the token in a variable.
fn logged_out(version: &str) -> Workspace {
    let workspace = Workspace::new(version);
    for name in ["HOST", "UNIVERSAL_AUTH_CLIENT_ID", "UNIVERSAL_AUTH_CLIENT_SECRET"] {
        workspace.unset(&format!("KMS_{name}"));
    }
    workspace.set_secret("dbt_token", TOKEN);
    workspace
}

/// As Terraform names this machine.
fn platform() -> String {
    let machine = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    format!("{}_{machine}", std::env::consts::OS.replace("macos", "darwin"))
}

/// A mirror that has the built provider, outside of the workspace: its CLI configuration.
fn mirror_of_built(folder: &Path) -> String {
    for registry in ["registry.terraform.io", "registry.opentofu.org"] {
        let place = folder.join(registry).join("hanzoai/kms").join(VERSION).join(platform());
        fs::create_dir_all(&place).unwrap();
        let executable = place.join(format!("terraform-provider-kms_v{VERSION}"));
        std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_terraform-provider-kms"), executable).unwrap();
    }
    format!("provider_installation {{\n  filesystem_mirror {{\n    path = {folder:?}\n  }}\n}}\n")
}

#[test]
fn getting_started() {
    const PAGE: &str = "docs/guides/getting-started.md";
    under_each_terraform(|version| {
        let workspace = logged_out(version);
        let mirror = tempfile::tempdir().unwrap();
        workspace.write("cli.tfrc", &mirror_of_built(mirror.path()));
        fs::remove_file(workspace.path("provider.tf")).unwrap();
        let [configuration] = &configurations(PAGE)[..] else { panic!("one configuration") };
        workspace.write("main.tf", &configuration.code);

        let [log_in, apply, check] = &blocks_for(PAGE, "getting_started", &workspace)[..] else {
            panic!("three blocks")
        };
        let outcome = workspace.shell(&format!("{log_in}set -e\n{apply}")).succeeded();
        assert!(outcome.stdout.contains("Apply complete! Resources: 1 added"), "{outcome:#?}");
        let stored = workspace.emulator.connection("analytics-prod");
        assert_eq!(workspace.emulator.stored_credentials(&stored.id).api_token, TOKEN);
        let outcome = workspace.shell(&format!("{log_in}{check}"));
        assert!(outcome.stdout.contains("No changes.") && outcome.stdout.ends_with("\n0\n"), "{outcome:#?}");
    });
}

#[test]
fn logging_in_from_the_environment() {
    under_each_terraform(|version| {
        let workspace = logged_out(version);
        workspace.write("main.tf", "data \"kms_dbt_connections\" \"all\" {}\n");
        let page = "docs/guides/authentication-in-ci.md";
        let blocks = blocks_for(page, "logging_in_from_the_environment", &workspace);
        let outcome = workspace.shell(&blocks.concat()).succeeded();
        assert!(outcome.stdout.contains("Apply complete!"), "{outcome:#?}");
        let reads = workspace.emulator.requests();
        assert!(reads.iter().any(|request| request.path.starts_with(CONNECTIONS)), "{reads:#?}");
    });
}

#[test]
fn passing_a_gateway() {
    under_each_terraform(|version| {
        let headers =
            [("CF-Access-Client-Id", CLIENT_ID), ("CF-Access-Client-Secret", "gateway-secret-X1y2z3")];
        let gateway = Gateway::with_login_page(&headers, "https://login.invalid/");
        let workspace = Workspace::with(version, Options { gateway: Some(gateway), ..Options::default() });
        workspace.secret("gateway-secret-X1y2z3");
        workspace.write("main.tf", "data \"kms_dbt_connections\" \"all\" {}\n");
        let page = "docs/guides/authentication-in-ci.md";
        let blocks = blocks_for(page, "passing_a_gateway", &workspace).concat();
        let blocks = blocks.replace("Client-Id=...", &format!("Client-Id={CLIENT_ID}"));
        let blocks = blocks.replace("Client-Secret=...", "Client-Secret=gateway-secret-X1y2z3");
        let outcome = workspace.shell(&blocks).succeeded();
        assert!(outcome.stdout.contains("No changes."), "{outcome:#?}");
    });
}

#[test]
fn finding_and_importing_connections() {
    const PAGE: &str = "docs/guides/connections-made-by-hand.md";
    under_each_terraform_with(Capability::Queries, |version| {
        let workspace = Workspace::new(version);
        for name in ["orders", "marketing", "analytics"] {
            let credentials = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_made_by_hand");
            workspace.emulator.create(name, None, &credentials);
        }
        workspace.write("found.tfquery.hcl", &configurations(PAGE)[0].code);
        let blocks = blocks_for(PAGE, "finding_and_importing_connections", &workspace);
        let outcome = workspace.shell(&format!("set -e\n{}", blocks.concat())).succeeded();
        assert!(
            outcome.stdout.contains("Plan: 3 to import, 0 to add, 0 to change, 0 to destroy."),
            "{outcome:#?}"
        );
        assert!(workspace.emulator.writes().is_empty());
        workspace.assert_clean();
    });
}

#[test]
fn searching_state_and_plan_for_the_token() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.set_secret("dbt_token", TOKEN);
        let example = root().join("examples/provider/provider.tf");
        workspace.write("provider.tf", &fs::read_to_string(example).unwrap());
        workspace.apply().succeeded();
        let page = "docs/guides/keeping-tokens-out-of-state.md";
        let blocks = blocks_for(page, "searching_state_and_plan_for_the_token", &workspace);
        let outcome = workspace.shell(&blocks.concat());
        assert!(outcome.stdout.ends_with("\n0\n0\n"), "{outcome:#?}");
        // The same commands find what is there.
        let outcome = workspace.shell(&blocks.concat().replace("$TF_VAR_dbt_token", "analytics-prod"));
        let counts: Vec<&str> = outcome.stdout.lines().rev().take(2).collect();
        assert!(counts.iter().all(|count| count.parse::<u32>().unwrap() > 0), "{outcome:#?}");
    });
}

#[test]
fn rotating_now() {
    const PAGE: &str = "docs/guides/from-dbt-to-airflow.md";
    under_each_terraform_with(Capability::Actions, |version| {
        let workspace = from_dbt_to_airflow::start(version);
        workspace.apply().succeeded();
        let action = configurations(PAGE).into_iter().find(|block| block.code.starts_with("action "));
        workspace.write("rotate.tf", &action.unwrap().code);
        let blocks = blocks_for(PAGE, "rotating_now", &workspace);
        workspace.shell(&format!("set -e\n{}", blocks.concat())).succeeded();
        let tokens = workspace.emulator.service_tokens();
        assert_eq!(tokens.iter().map(|token| token.revoked).collect::<Vec<_>>(), [false, false]);
        tokens.iter().for_each(|token| workspace.secret(&token.token));
        workspace.assert_clean();
    });
}

#[test]
fn getting_a_log() {
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        workspace.write("main.tf", "data \"kms_dbt_connections\" \"all\" {}\n");
        workspace.unset("TF_LOG_PATH");
        let blocks = blocks_for("docs/guides/troubleshooting.md", "getting_a_log", &workspace);
        workspace.shell(&blocks.concat()).succeeded();
        let log = fs::read_to_string(workspace.path("provider.log")).unwrap();
        assert!(log.contains(CONNECTIONS), "{log}");
    });
}

/// The archives of a release, with a text in the place of the executable, and their checksums.
fn archives(folder: &Path) {
    let script = "import hashlib, sys, zipfile\n\
                  version, *platforms = sys.argv[1:]\n\
                  with open(f'terraform-provider-kms_{version}_SHA256SUMS', 'w') as sums:\n    \
                  for platform in platforms:\n        \
                  name = f'terraform-provider-kms_{version}_{platform}.zip'\n        \
                  zipfile.ZipFile(name, 'w').writestr(f'terraform-provider-kms_v{version}', platform)\n        \
                  digest = hashlib.sha256(open(name, 'rb').read()).hexdigest()\n        \
                  sums.write(f'{digest}  {name}\\n')\n";
    let done = Command::new("python3")
        .args(["-c", script, VERSION, "linux_amd64", "darwin_arm64", "linux_arm64", "darwin_amd64"])
        .current_dir(folder)
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn installing_from_a_mirror() {
    const PAGE: &str = "docs/guides/air-gapped-installation.md";
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        archives(&workspace.path(""));
        let mirror = workspace.path("mirror").display().to_string();
        let blocks = blocks_for(PAGE, "installing_from_a_mirror", &workspace).into_iter();
        let blocks: Vec<String> =
            blocks.map(|code| code.replace("/srv/terraform/providers", &mirror)).collect();
        let [verify, copy, cli_config, lock, network] = &blocks[..] else {
            panic!("five blocks: {blocks:#?}")
        };
        // OpenTofu has another registry.
        let registry = if workspace.is_tofu() { "registry.opentofu.org" } else { "registry.terraform.io" };
        let for_client = |code: &String| code.replace("registry.terraform.io", registry);

        workspace.shell(&format!("set -e\n{verify}{}", for_client(copy))).succeeded();
        workspace.write("cli.tfrc", cli_config);
        workspace.run(&["init", "-no-color"]).succeeded();
        workspace.shell(lock).succeeded();
        let locked = fs::read_to_string(workspace.path(".terraform.lock.hcl")).unwrap();
        assert_eq!(locked.matches("\"h1:").count(), 2, "{locked}");

        workspace.shell(&format!("set -e\n{}", for_client(network))).succeeded();
        let served = workspace.path(&format!("mirror/{registry}/hanzoai/kms"));
        let json = |name: &str| -> serde_json::Value {
            serde_json::from_str(&fs::read_to_string(served.join(name)).unwrap()).unwrap()
        };
        assert!(json("index.json")["versions"][VERSION].is_object());
        let archives = json(&format!("{VERSION}.json"))["archives"].clone();
        assert_eq!(archives.as_object().unwrap().len(), 4);
        for (platform, archive) in archives.as_object().unwrap() {
            assert_eq!(archive["url"], format!("terraform-provider-kms_{VERSION}_{platform}.zip"));
            // The same checksum as in the list of the release.
            let checksum = archive["hashes"][0].as_str().unwrap().strip_prefix("zh:").unwrap();
            let sums = workspace.path(&format!("terraform-provider-kms_{VERSION}_SHA256SUMS"));
            assert!(fs::read_to_string(sums).unwrap().contains(checksum));
        }
    });
}

/// What pages leave out of configurations.
const VERSIONS: &str =
    "terraform {\n  required_providers {\n    kms = {\n      source = \"hanzoai/kms\"\n    }\n  }\n}\n";
const DBT_TOKEN: &str = "variable \"dbt_token\" {\n  type      = string\n  ephemeral = true\n}\n";

/// What a configuration needs that not every client has.
fn needed(block: &Block) -> Option<Capability> {
    let has = |text: &str| block.code.contains(text);
    if block.comment("query").is_some() {
        Some(Capability::Queries)
    } else if has("\naction \"") || block.code.starts_with("action \"") || has("action_trigger {") {
        Some(Capability::Actions)
    } else {
        (has("import {") && has("identity = {")).then_some(Capability::Identities)
    }
}

/// The configurations in the pages that are not those of a file under `examples/`, which `tests/examples.rs` validates.
fn configurations_of_pages() -> Vec<Block> {
    let docs = files_under(&root().join("docs"));
    let docs = docs.iter().map(|path| path.strip_prefix(root()).unwrap().to_owned());
    let pages: Vec<PathBuf> = [PathBuf::from("README.md")].into_iter().chain(docs).collect();
    let examples: Vec<String> = files_under(&root().join("examples"))
        .iter()
        .map(|path| format!("\n{}", fs::read_to_string(path).unwrap()))
        .collect();
    let blocks = pages.iter().flat_map(|page| configurations(page.to_str().unwrap()));
    blocks
        .filter(|block| block.comment("not run: ").is_none())
        // What is part of an example is tested there.
        .filter(|block| !examples.iter().any(|example| example.contains(&format!("\n{}", block.code))))
        .collect()
}

#[test]
fn each_configuration_in_a_page_is_valid() {
    let blocks = configurations_of_pages();
    assert!(blocks.len() > 5, "{}", blocks.len());
    under_each_terraform(|version| {
        let workspace = Workspace::new(version);
        let mut problems = Vec::new();
        for block in &blocks {
            if needed(block).is_some_and(|needed| !clients::has(version, needed)) {
                continue;
            }
            let is_query = block.comment("query").is_some();
            let beside = block.comment("beside: ").unwrap_or_default();
            let beside = beside.split(", ").filter(|path| !path.is_empty());
            let others: String = beside.map(|path| fs::read_to_string(root().join(path)).unwrap()).collect();
            let mut text = others + if is_query { "" } else { &block.code };
            if !text.contains("required_providers") {
                text += VERSIONS;
            }
            if text.contains("var.dbt_token") && !text.contains("variable \"dbt_token\"") {
                text += DBT_TOKEN;
            }
            workspace.write("provider.tf", &text);
            let query = workspace.path("page.tfquery.hcl");
            let outcome = match is_query {
                true => {
                    fs::write(&query, &block.code).unwrap();
                    workspace.run(&["validate", "-json", "-query"])
                }
                false => workspace.validate(),
            };
            let _ = fs::remove_file(query);
            if outcome.code != Some(0) || !outcome.warnings().is_empty() {
                problems.push(format!("{}: {outcome:#?}", block.place()));
            }
        }
        assert!(problems.is_empty(), "{}", problems.join("\n"));
    });
}
