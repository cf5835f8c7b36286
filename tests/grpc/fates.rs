//! What becomes of a request, for everything that can come back for it: one table, tried case by case on the built
//! provider, and one page of the documentation.

use std::{collections::BTreeMap, fmt, path::Path, sync::Arc};

use kms_emulator::{
    CONNECTIONS, Emulator, Fault, LOGIN, Options, Target,
    faults::{Performed, Reply},
};
use terraform_provider_kms::plugin::value::{Number, Value};

use crate::{
    host::{Host, provider_config, told, value},
    resource::{Stored, TOKEN, apply, config, configure, delete, read, resource_type, set},
};

/// The statuses of the table.
const STATUSES: [u16; 12] = [200, 400, 403, 404, 408, 413, 422, 429, 499, 500, 502, 504];

/// How often a request may be sent again in these tests.
const MAX_RETRIES: i64 = 3;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Call {
    Login,
    Read,
    Create,
    Update,
    Delete,
}

const CALLS: [Call; 5] = [Call::Login, Call::Read, Call::Create, Call::Update, Call::Delete];

impl Call {
    fn method(self) -> &'static str {
        match self {
            Call::Read => "GET",
            Call::Login | Call::Create => "POST",
            Call::Update => "PATCH",
            Call::Delete => "DELETE",
        }
    }

    fn path(self) -> &'static str {
        match self {
            Call::Login => LOGIN,
            Call::Create => CONNECTIONS,
            Call::Read | Call::Update | Call::Delete => "/api/v1/app-connections/dbt/*",
        }
    }

    fn is_change(self) -> bool {
        matches!(self, Call::Create | Call::Update | Call::Delete)
    }
}

/// What came of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// How often the request was sent.
    sent: usize,
    /// The summary of the error, if there was one.
    error: Option<String>,
    /// Whether the error leaves open that something was changed.
    is_open: bool,
    /// Whether a warning says that an earlier create may still be performed.
    is_warned_of: bool,
    /// Whether the state has the connection afterwards.
    in_state: bool,
}

/// What is expected of a case.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Expected {
    /// It succeeds, after being sent this often.
    Success { sent: usize },
    /// The connection doesn't exist.
    Gone,
    /// It fails with this summary, after being sent this often. `is_open` as in [`Seen`].
    Failure { summary: &'static str, sent: usize, is_open: bool },
}

/// One line of the table.
#[derive(Clone, Copy, Debug)]
struct Case {
    call: Call,
    status: u16,
    reply: Reply,
    /// Whether the KMS performed the request.
    performed: bool,
    /// Whether every request of the kind meets the fault, or only the first.
    always: bool,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { call, status, reply, performed, always } = self;
        let performed = if *performed { "performed" } else { "not performed" };
        let often = if *always { "always" } else { "once" };
        write!(f, "{call:?} {status} {reply:?} {performed} {often}")
    }
}

/// Whose response it is, and of what sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// The KMS performed the request and says so.
    Success,
    /// The KMS refused the request.
    Refusal,
    /// The KMS asks to wait.
    Limit,
    /// The KMS asked dbt before it did anything, and dbt was not available.
    DbtUnavailable,
    /// The KMS failed.
    ServerError,
    /// Nobody knows.
    NoResponse,
    /// Somebody else's page, which may be gone the next time.
    Passing,
    /// Somebody else's page, which will probably be the same the next time.
    Lasting,
    /// Somebody else asks to wait.
    ForeignLimit,
    /// JSON that isn't what the call returns, or too much.
    Unusable,
}

impl Case {
    fn sort(self) -> Sort {
        let foreign = match self.status {
            429 => Sort::ForeignLimit,
            200 | 408 | 499 | 500.. => Sort::Passing,
            _ => Sort::Lasting,
        };
        match (self.reply, self.status) {
            // The emulator breaks the connection before the status is through.
            (Reply::Reset | Reply::Close | Reply::Hang | Reply::Cut, _) => Sort::NoResponse,
            (Reply::Kms, 200) if self.performed => Sort::Success,
            (Reply::Kms | Reply::Gateway | Reply::Oversized, 200) => Sort::Unusable,
            (Reply::DbtUnavailable, _) => Sort::DbtUnavailable,
            (Reply::Kms, 429) => Sort::Limit,
            (Reply::Kms, 500..) => Sort::ServerError,
            (Reply::Kms, _) => Sort::Refusal,
            _ => foreign,
        }
    }

    /// The table.
    fn expected(self) -> Expected {
        let Self { call, performed, always, .. } = self;
        let retries = usize::try_from(MAX_RETRIES).unwrap();
        let sort = self.sort();
        let repeats = match (sort, call) {
            (Sort::Success | Sort::Refusal | Sort::Unusable, _) => 0,
            // A login has nothing to do with dbt.
            (Sort::DbtUnavailable, Call::Login) => 0,
            (Sort::Limit | Sort::ForeignLimit, _) => usize::MAX,
            (Sort::Lasting, _) | (_, Call::Login) => 2,
            _ => retries,
        };
        let (summary, is_refusal) = match sort {
            Sort::Success => return Expected::Success { sent: 1 },
            Sort::Refusal => (self.refusal(), true),
            Sort::DbtUnavailable if self.call == Call::Login => (self.refusal(), true),
            Sort::DbtUnavailable => ("dbt is not available", true),
            Sort::Limit => ("Rate limit reached", true),
            Sort::ForeignLimit => ("Rate limit reached", false),
            Sort::ServerError => ("Server error of the KMS", false),
            Sort::NoResponse => ("No response from the KMS", false),
            Sort::Passing | Sort::Lasting => ("Response not from the KMS", false),
            Sort::Unusable => ("Unusable response from the KMS", false),
        };
        // That it is gone is no failure of a deletion, and a read takes it out of the state.
        if sort == Sort::Refusal && self.status == 404 && matches!(call, Call::Read | Call::Delete) {
            return Expected::Gone;
        }
        let looked_up = call.is_change() && !is_refusal;
        if looked_up && performed {
            // What was asked for is there.
            let sent = if call == Call::Delete { self.deletions(repeats) } else { 1 };
            return Expected::Success { sent };
        }
        if !always && repeats > 0 {
            return Expected::Success { sent: 2 };
        }
        // If the KMS has finished with it, a look settles the question.
        let is_open = looked_up && sort != Sort::ServerError;
        let summary = match (call, sort) {
            (Call::Create, _) if is_open => "Unconfirmed create",
            (_, Sort::ForeignLimit) if is_open => "Response not from the KMS",
            _ => summary,
        };
        let sent = match repeats {
            usize::MAX => return Expected::Failure { summary, sent: 0, is_open },
            repeats => repeats + 1,
        };
        Expected::Failure { summary, sent, is_open }
    }

    /// Whether a repeat succeeded while the KMS may still perform the first create.
    fn leaves_a_create_open(self) -> bool {
        let is_open = !matches!(self.sort(), Sort::Limit | Sort::ServerError | Sort::DbtUnavailable);
        self.call == Call::Create && is_open && self.expected() == Expected::Success { sent: 2 }
    }

    /// How often a deletion is sent that is performed at the first time; 0 for any number.
    fn deletions(self, repeats: usize) -> usize {
        match repeats {
            0 => 1,
            _ if !self.always => 2,
            usize::MAX => 0,
            repeats => repeats + 1,
        }
    }

    /// The summary of a refusal by the KMS.
    fn refusal(self) -> &'static str {
        match (self.call, self.status) {
            (Call::Login, _) => "Login to the KMS failed",
            (_, 403) => "Not allowed",
            (_, 404) => "Not found",
            _ => "Refused by the KMS",
        }
    }

    async fn try_it(self) -> Seen {
        let emulator = Emulator::start(Options::default().without_rate_limits()).await;
        let host = Host::start().await;
        let mut provider = host.provider();
        let block = provider_config(
            &emulator.url(),
            &[
                ("request_timeout", Value::string("6s")),
                ("max_retries", Value::Number(Number::Int(MAX_RETRIES))),
                ("max_retry_wait", Value::string("8s")),
            ],
        );
        assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
        let wanted = config("analytics", &[]);
        let prior = if matches!(self.call, Call::Login | Call::Create) {
            None
        } else {
            let (response, prior) = apply(&mut provider, None, &wanted).await;
            assert_eq!(told(&response.diagnostics), Vec::<String>::new());
            Some(prior)
        };
        emulator.clear_requests();
        let performed = if self.performed { Performed::Before } else { Performed::Never };
        let fault = Fault::respond(self.status, self.reply, performed);
        let target = Target::every(self.call.method(), self.call.path());
        emulator.fault(if self.always { target } else { target.times(1) }, fault);
        let (diagnostics, state) = match (self.call, prior) {
            (Call::Read, Some(prior)) => {
                let (response, stored) = read(&mut provider, &prior).await;
                (response.diagnostics, stored)
            }
            (Call::Update, Some(prior)) => {
                let changed = set(&wanted, "description", Value::string("changed"));
                let (response, stored) = apply(&mut provider, Some(&prior), &changed).await;
                (response.diagnostics, stored)
            }
            (Call::Delete, Some(prior)) => {
                let response = delete(provider, prior.clone()).await;
                let state = value(response.new_state.clone(), &resource_type());
                (response.diagnostics, Stored { state, ..prior })
            }
            _ => {
                let (response, stored) = apply(&mut provider, None, &wanted).await;
                (response.diagnostics, stored)
            }
        };
        let error = diagnostics.iter().find(|diagnostic| diagnostic.severity == 1);
        let text = error.map(|error| error.detail.as_str()).unwrap_or_default();
        assert!(!text.contains(TOKEN), "{self}: {text}");
        let warning = "warning [name] Create sent more than once";
        let is_warned_of = told(&diagnostics).iter().any(|told| told == warning);
        let open = ["may have performed", "could not determine", "there is now"];
        let method = |request: &kms_emulator::LoggedRequest| {
            request.method == self.call.method()
                && (request.path == LOGIN) == (self.call == Call::Login)
                && !request.path.contains("connection-name")
        };
        Seen {
            sent: emulator.requests().iter().filter(|request| method(request)).count(),
            error: error.map(|error| error.summary.clone()),
            is_open: open.iter().any(|words| text.contains(words)),
            is_warned_of,
            in_state: has_id(&state),
        }
    }
}

fn has_id(stored: &Stored) -> bool {
    stored.state.attribute("id").is_some_and(|id| *id != Value::Null)
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for call in CALLS {
        for performed in [false, true] {
            for always in [false, true] {
                let with_status = STATUSES
                    .into_iter()
                    .flat_map(|status| Reply::WITH_STATUS.into_iter().map(move |reply| (status, reply)));
                let without = Reply::WITHOUT_STATUS.into_iter().map(|reply| (200, reply));
                let busy = [(400, Reply::DbtUnavailable)];
                for (status, reply) in with_status.chain(without).chain(busy) {
                    cases.push(Case { call, status, reply, performed, always });
                }
            }
        }
    }
    // What the KMS itself refuses it has not performed, and a read or a login performs nothing.
    cases.retain(|case| {
        let refused = matches!(case.sort(), Sort::Refusal | Sort::Limit | Sort::DbtUnavailable);
        !(case.performed && (refused || !case.call.is_change()))
    });
    cases
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_response_to_every_request_has_the_fate_of_the_table() {
    // Each case waits most of its time. Windows takes longer to start a process.
    let slots = Arc::new(tokio::sync::Semaphore::new(if cfg!(windows) { 48 } else { 144 }));
    let tasks: Vec<_> = cases()
        .into_iter()
        .map(|case| {
            let slots = Arc::clone(&slots);
            tokio::spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                (case, case.try_it().await)
            })
        })
        .collect();
    let mut wrong = Vec::new();
    let count = tasks.len();
    for task in tasks {
        let (case, seen) = task.await.unwrap();
        if let Err(problem) = check(case, &seen) {
            wrong.push(format!("{case}: {problem}; seen {seen:?}"));
        }
    }
    assert!(wrong.is_empty(), "{} of {count} cases:\n{}", wrong.len(), wrong.join("\n"));
}

fn check(case: Case, seen: &Seen) -> Result<(), String> {
    let expected = case.expected();
    let had_state = matches!(case.call, Call::Read | Call::Update | Call::Delete);
    let (summary, sent, is_open, in_state) = match expected {
        Expected::Success { sent } => (None, sent, false, case.call != Call::Delete),
        Expected::Gone => (None, 1, false, false),
        Expected::Failure { summary, sent, is_open } => (Some(summary), sent, is_open, had_state),
    };
    if seen.error.as_deref() != summary {
        return Err(format!("expected the error {summary:?}"));
    }
    if sent > 0 && seen.sent != sent {
        return Err(format!("expected to be sent {sent} times"));
    }
    if seen.is_open != is_open {
        return Err(format!("expected to leave open whether it was performed: {is_open}"));
    }
    if seen.is_warned_of != case.leaves_a_create_open() {
        return Err(format!("expected a warning of an earlier create: {}", case.leaves_a_create_open()));
    }
    if seen.in_state != in_state {
        return Err(format!("expected in state: {in_state}"));
    }
    Ok(())
}

/// The table of the documentation, from the expectations that the test above tries.
fn table() -> String {
    let rows: BTreeMap<&str, (u16, Reply)> = BTreeMap::from([
        ("1. an error of the KMS with a 4xx status", (400, Reply::Kms)),
        ("2. status 429 of the KMS", (429, Reply::Kms)),
        ("2b. an error of the KMS: dbt is not available", (400, Reply::DbtUnavailable)),
        ("3. an error of the KMS with a 5xx status", (500, Reply::Kms)),
        ("4. no response, or one that is cut off", (200, Reply::Reset)),
        ("5. a page of something else: 200, 408, 499 or 5xx", (502, Reply::Html)),
        ("6. a page of something else: another 4xx", (403, Reply::Html)),
        ("7. a page of something else: 429", (429, Reply::Html)),
        ("8. JSON that the KMS doesn't send, or too much of it", (200, Reply::Gateway)),
    ]);
    let mut text = String::from(
        "| response | reads | logins | creates and changes | deletions |\n|---|---|---|---|---|\n",
    );
    for (name, (status, reply)) in rows {
        let cell = |call: Call| {
            let case = Case { call, status, reply, performed: false, always: true };
            let often = match case.expected() {
                Expected::Failure { sent: 0, .. } => "waits, then sent again".to_owned(),
                Expected::Failure { sent: 1, .. } => "fails".to_owned(),
                Expected::Failure { sent: 3, .. } => "sent again, at most twice".to_owned(),
                Expected::Failure { .. } => "sent again, up to `max_retries`".to_owned(),
                Expected::Success { .. } | Expected::Gone => "done".to_owned(),
            };
            match case.expected() {
                Expected::Failure { is_open: true, .. } => format!("looked up; {often}"),
                _ => often,
            }
        };
        let name = name.split_once(". ").unwrap().1;
        let cells = [Call::Read, Call::Login, Call::Create, Call::Delete].map(cell);
        text.push_str(&format!("| {name} | {} |\n", cells.join(" | ")));
    }
    text
}

#[test]
fn the_documentation_shows_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guides/lost-responses.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let (start, rest) = page.split_once("<!-- fates: begin -->\n").unwrap();
    let (shown, end) = rest.split_once("<!-- fates: end -->").unwrap();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        let page = format!("{start}<!-- fates: begin -->\n{}<!-- fates: end -->{end}", table());
        std::fs::write(&path, page).unwrap();
        return;
    }
    assert_eq!(shown, table(), "run `UPDATE_DOCS=1 cargo test --test grpc documentation`");
}
