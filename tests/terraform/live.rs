//! `make live`, with an emulator in the place of the real server.

use std::{
    fs,
    io::Read as _,
    os::unix::process::CommandExt as _,
    path::PathBuf,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use kms_emulator::{
    AppConnection, CLIENT_ID, CLIENT_SECRET, CONNECTIONS, Credentials, EmptyFields, Emulator, Fault, LOGIN,
    Options, PROJECT_ID, Performed, ROTATIONS, Reply, STATIC_TOKEN, Target,
};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};
use regex::Regex;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::clients;

const TOKEN: &str = "dbtc_l1v3T0k3nOfTh3S3rv3r";

/// What a run printed, and with which status it ended.
struct Outcome {
    code: Option<i32>,
    table: String,
    progress: String,
}

impl Outcome {
    /// The result of a step in the table.
    fn of(&self, step: &str) -> &str {
        let row = Regex::new(&format!("(?m)^{}  .*  (\\w+)$", regex::escape(step))).unwrap();
        let found = row.captures(&self.table);
        found.unwrap_or_else(|| panic!("no step {step}: {self}")).get(1).unwrap().as_str()
    }

    /// Whether a line of the table has these words. Lines are wrapped, so white space counts as one.
    fn shows(&self, words: &str) -> bool {
        self.table.split_whitespace().collect::<Vec<_>>().join(" ").contains(words)
    }
}

impl std::fmt::Display for Outcome {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}\n{}\n{}", self.code, self.progress, self.table)
    }
}

/// A server to run against, the emulator to compare it with, and what must stay as it is.
struct Live {
    server: Emulator,
    reference: Emulator,
    bystanders: Vec<(String, time::OffsetDateTime)>,
    scratch: TempDir,
}

impl Live {
    fn new(options: Options) -> Self {
        let server = Emulator::start_on_thread(options.without_rate_limits());
        let credentials = Credentials::new("https://cloud.getdbt.com", "12345", "dbtu_of_somebody_else");
        // The names are as near as those of another run.
        server.create("tf-live-0000-org", None, &credentials);
        server.create("tf-live-0000-project", Some(PROJECT_ID), &credentials);
        let bystanders = stamps(&server.connections());
        Self {
            server,
            reference: Emulator::start_on_thread(Options::default().without_rate_limits()),
            bystanders,
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Child {
        let mut command = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/live"));
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KMS_")) {
            command.env_remove(name);
        }
        command
            .args([
                "--provider",
                env!("CARGO_BIN_EXE_terraform-provider-kms"),
                "--emulator",
                &self.reference.url(),
            ])
            .args(arguments)
            .env("TERRAFORM", terraform())
            .env("TMPDIR", self.scratch.path())
            .env("KMS_HOST", self.server.url())
            .env("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID)
            .env("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET)
            .envs(variables.iter().copied())
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command.spawn().unwrap()
    }

    fn run(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Outcome {
        finish(self.start(arguments, variables))
    }

    /// Holds a run to having left the server as it was, and nothing on this machine.
    fn assert_nothing_left(&self, outcome: &Outcome) {
        assert_eq!(stamps(&self.server.connections()), self.bystanders, "{outcome}");
        assert!(
            self.server.rotations().is_empty() && self.server.live_service_tokens().is_empty(),
            "{outcome}"
        );
        assert!(
            self.reference.connections().is_empty() && self.reference.rotations().is_empty(),
            "{outcome}"
        );
        assert_eq!(fs::read_dir(self.scratch.path()).unwrap().count(), 0, "{outcome}");
        for secret in [TOKEN, CLIENT_SECRET, STATIC_TOKEN] {
            assert!(!outcome.to_string().contains(secret), "a secret was printed");
        }
        assert!(self.reference.requests_containing(TOKEN).is_empty(), "the token is the server's alone");
    }
}

/// The last of the clients to test with: the newest Terraform, which has all that the steps need.
fn terraform() -> PathBuf {
    clients::executable(clients::asked_for().last().unwrap())
}

fn stamps(connections: &[AppConnection]) -> Vec<(String, time::OffsetDateTime)> {
    connections.iter().map(|connection| (connection.name.clone(), connection.updated_at)).collect()
}

fn finish(mut child: Child) -> Outcome {
    let mut errors = child.stderr.take().unwrap();
    let progress = thread::spawn(move || {
        let mut text = String::new();
        errors.read_to_string(&mut text).unwrap();
        text
    });
    let mut table = String::new();
    child.stdout.take().unwrap().read_to_string(&mut table).unwrap();
    Outcome { code: child.wait().unwrap().code(), table, progress: progress.join().unwrap() }
}

const DBT: [(&str, &str); 3] = [
    ("KMS_LIVE_DBT_INSTANCE_URL", "https://emea.dbt.com"),
    ("KMS_LIVE_DBT_ACCOUNT_ID", "777"),
    ("KMS_LIVE_DBT_TOKEN", TOKEN),
];

fn all_variables() -> Vec<(&'static str, &'static str)> {
    let project = [
        ("KMS_LIVE_PROJECT_ID", "analytics"),
        ("KMS_LIVE_ENVIRONMENT", "prod"),
        ("KMS_LIVE_SECRET_PATH", "/airflow"),
    ];
    [&DBT[..], &project].concat()
}

#[test]
fn every_step_passes_and_what_the_server_does_otherwise_is_shown() {
    let options = Options { empty_fields: EmptyFields::Null, count_versions: true, ..Options::default() };
    let live = Live::new(options);
    live.server.make_folder(PROJECT_ID, "prod", "/airflow");
    let outcome = live.run(&[], &all_variables());
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert!(outcome.shows(" 0 FAIL, "), "{outcome}");
    let skipped = outcome.table.matches("  skipped\n").count();
    assert_eq!(outcome.table.matches("    needs Terraform ").count(), skipped, "{outcome}");
    assert_eq!(outcome.of("unknown connection"), "pass");
    assert_eq!(outcome.of("create without project"), "differs");
    assert_eq!(outcome.of("update"), "differs");
    for line in [
        "emulator only: JSON of a connection: appConnection.isPlatformManagedCredentials is a boolean",
        "server only: JSON of a connection: appConnection.isPlatformManagedCredentials is null",
        "emulator only: state: kms_dbt_connection.it.version = 1",
        "server only: state: kms_dbt_connection.it.version = 2",
    ] {
        assert!(outcome.shows(line), "{line}: {outcome}");
    }
    assert!(!live.server.writes().is_empty() && !live.server.rotation_writes().is_empty());
    live.assert_nothing_left(&outcome);
}

#[test]
fn what_failed_steps_have_left_is_removed() {
    let mut options = Options::default();
    // An identity of one project needs nothing of the organization.
    options.identities[0] = options.identities[0].clone().only_in(&[PROJECT_ID]);
    let live = Live::new(options);
    live.server.make_folder(PROJECT_ID, "prod", "/airflow");
    let refusal = Fault::respond(400, Reply::Kms, Performed::Never);
    live.server.fault(Target::every("PATCH", &format!("{ROTATIONS}/*")), refusal.clone());
    // Terraform's deletion is refused, and the one that cleans up isn't.
    live.server.fault(Target::once("DELETE", &format!("{ROTATIONS}/*")), refusal);
    let outcome = live.run(&["--only", "rotation"], &all_variables());
    assert_eq!(outcome.code, Some(1), "{outcome}");
    let steps = ["create rotation", "update rotation", "rotate action", "destroy rotation", "secrets"];
    assert_eq!(steps.map(|step| outcome.of(step)), ["pass", "FAIL", "skipped", "FAIL", "pass"], "{outcome}");
    assert!(
        outcome.shows("server only: request: PATCH /api/v2/secret-rotations/dbt-service-token/<id> -> 400")
    );
    assert!(outcome.progress.contains("cleaned up on the server: tf-live-"), "{outcome}");
    assert_eq!(live.server.service_tokens().len(), 1, "one was made, and revoked");
    live.assert_nothing_left(&outcome);
}

#[test]
fn an_interrupt_waits_for_the_request_under_way_and_cleans_up() {
    let live = Live::new(Options::default());
    // The wrong token and the unknown project come first.
    let delay = Duration::from_secs(4);
    let slow = Fault::slow(delay, Duration::ZERO);
    live.server.fault(Target::once("POST", CONNECTIONS).after(2), slow);
    let child = live.start(&["--only", "connection"], &DBT);
    let began = Instant::now();
    while live
        .server
        .requests()
        .iter()
        .filter(|request| request.method == "POST" && request.path == CONNECTIONS)
        .count()
        < 3
    {
        assert!(began.elapsed() < Duration::from_secs(120), "no connection is created");
        thread::sleep(Duration::from_millis(50));
    }
    let seen = Instant::now();
    killpg(Pid::from_raw(child.id() as i32), Signal::SIGINT).unwrap();
    let outcome = finish(child);
    assert_eq!(outcome.code, Some(130), "{outcome}");
    assert!(outcome.progress.contains("cleaned up on the server: tf-live-"), "{outcome}");
    assert_eq!(outcome.of("wrong token"), "pass");
    // What the server performs for a client that has given up would be there by now.
    thread::sleep((delay + Duration::from_secs(1)).saturating_sub(seen.elapsed()));
    live.assert_nothing_left(&outcome);
}

#[test]
fn what_is_not_given_is_skipped_with_the_reason() {
    let live = Live::new(Options { tls: true, ..Options::default() });
    let certificate = tempfile::NamedTempFile::new().unwrap();
    fs::write(certificate.path(), live.server.ca_pem().unwrap()).unwrap();
    let variables = [
        ("KMS_CA_CERTIFICATE_FILE", certificate.path().to_str().unwrap()),
        ("KMS_TOKEN", STATIC_TOKEN),
        ("KMS_UNIVERSAL_AUTH_CLIENT_ID", ""),
        ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", ""),
    ];
    let outcome = live.run(&[], &variables);
    assert_eq!(outcome.code, Some(0), "{outcome}");
    assert_eq!(outcome.of("unknown project"), "pass");
    let skipped = ["the project", "create without project", "create rotation"];
    assert_eq!(skipped.map(|step| outcome.of(step)), ["skipped"; 3], "{outcome}");
    assert!(outcome.shows("KMS_LIVE_PROJECT_ID isn't given"), "{outcome}");
    live.assert_nothing_left(&outcome);
    assert!(live.server.writes().is_empty());
}

#[test]
fn a_refused_login_ends_the_run_and_prints_no_secret() {
    let live = Live::new(Options::default());
    let wrong = "wr0ngCl13ntS3cr3t";
    let said = json!({"message": format!("No identity has the secret {wrong}")});
    live.server.fault(Target::every("POST", LOGIN), Fault::Answer { status: 401, body: said });
    let outcome = live.run(&[], &[("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", wrong)]);
    assert_eq!(outcome.code, Some(1), "{outcome}");
    assert!(
        outcome.progress.contains("the login was answered with 401: No identity has the secret ***"),
        "{outcome}"
    );
    assert!(!outcome.to_string().contains(wrong) && outcome.table.is_empty());
}
