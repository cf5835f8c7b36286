//! Gateways in front of the KMS: the headers that they demand, and what is said when they answer in its
//! place.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use kms_emulator::{Emulator, Fault, Gateway, LOGIN, Options, Target};
use terraform_provider_kms::plugin::{
    provider::Provider as _,
    value::{Number, Type, Value},
};
use terraform_provider_kms::provider::KmsProvider;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::AbortHandle,
};

use crate::{
    host::{Host, object, proto, provider_config, told},
    resource::{apply, config, configure, emulator},
};

const ID: (&str, &str) = ("X-Gateway-Id", "gateway-id-distinctive.access");
const SECRET: (&str, &str) = ("X-Gateway-Secret", "gateway-secret-distinctive-0123=");

/// A server that records the requests that it gets, as they came, and gives each the same response.
struct Recorder {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: AbortHandle,
}

impl Recorder {
    async fn start(response: impl Into<String>) -> Self {
        let response = Arc::new(response.into());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (log, response) = (Arc::clone(&log), Arc::clone(&response));
                tokio::spawn(async move { Self::respond(stream, &log, &response).await });
            }
        });
        Self { address, requests, task: task.abort_handle() }
    }

    /// Answers with this status, these header lines and this page, and closes the connection.
    async fn of_page(status: &str, headers: &[&str], page: &str) -> Self {
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = page.len();
        let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {length}\r\n{headers}");
        Self::start(format!("{head}\r\n{page}")).await
    }

    async fn respond(mut stream: TcpStream, log: &Mutex<Vec<String>>, response: &str) -> std::io::Result<()> {
        let mut request = Vec::new();
        while !request.windows(4).any(|end| end == b"\r\n\r\n") {
            let mut chunk = [0; 4096];
            match stream.read(&mut chunk).await? {
                0 => break,
                length => request.extend_from_slice(&chunk[..length]),
            }
        }
        log.lock().unwrap().push(String::from_utf8_lossy(&request).into_owned());
        stream.write_all(response.as_bytes()).await?;
        stream.shutdown().await
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn requests(&self) -> Vec<String> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn headers(headers: &[(&'static str, &str)]) -> (&'static str, Value) {
    let map: BTreeMap<_, _> =
        headers.iter().map(|(name, value)| ((*name).into(), Value::string(*value))).collect();
    ("custom_headers", Value::Map(map))
}

/// An emulator behind a gateway that demands both headers, and redirects everything else to this page.
async fn behind_gateway(login_page: &str) -> Emulator {
    let gateway = Gateway::with_login_page(&[ID, SECRET], login_page);
    let options = Options { gateway: Some(gateway), ..Options::default() };
    Emulator::start(options.without_rate_limits()).await
}

/// What became of creating a connection.
struct Outcome {
    errors: Vec<proto::Diagnostic>,
    log: String,
}

impl Outcome {
    fn told(&self) -> Vec<String> {
        told(&self.errors)
    }

    /// The details of the errors, one after the other.
    fn detail(&self) -> String {
        self.errors.iter().map(|error| error.detail.as_str()).collect::<Vec<_>>().join("\n")
    }

    fn shows_no_value(&self) {
        for (_, value) in [ID, SECRET] {
            assert!(!self.log.contains(value), "the log holds a value");
            assert!(!format!("{:?}", self.errors).contains(value), "an error holds a value");
        }
    }
}

/// Creates a connection with a provider that logs all it can.
async fn create_with(block: &Value, environment: &[(&str, &str)]) -> Outcome {
    let mut variables = vec![("TF_LOG_PROVIDER", "TRACE")];
    variables.extend(environment);
    let host = Host::start_with(&variables).await;
    let mut provider = host.provider();
    assert_eq!(configure(&mut provider, block).await, Vec::<String>::new());
    let (answer, _) = apply(&mut provider, None, &config("analytics", &[])).await;
    let (_, _, log) = host.shut_down().await;
    let outcome = Outcome { errors: answer.diagnostics, log: log.join("\n") };
    outcome.shows_no_value();
    outcome
}

async fn create(url: &str, extra: &[(&str, Value)], environment: &[(&str, &str)]) -> Outcome {
    let mut attributes = vec![("max_retries", Value::Number(Number::Int(0)))];
    attributes.extend(extra.iter().cloned());
    create_with(&provider_config(url, &attributes), environment).await
}

#[tokio::test]
async fn every_request_has_the_custom_headers_of_the_block_or_the_environment() {
    let login_page = Recorder::of_page("200 OK", &[], "<html>Log in</html>").await;
    let variable = format!("{}={} {}='{}'", ID.0, ID.1, SECRET.0, SECRET.1);
    let in_block = [headers(&[ID, SECRET])];
    for (block, environment) in [
        (&in_block[..], &[][..]),
        (&[], &[("KMS_CUSTOM_HEADERS", variable.as_str())]),
        (&in_block[..], &[("KMS_CUSTOM_HEADERS", "X-Gateway-Id=other X-Other=1")]),
    ] {
        let emulator = behind_gateway(&login_page.url()).await;
        let outcome = create(&emulator.url(), block, environment).await;
        assert_eq!(outcome.told(), Vec::<String>::new(), "{}", outcome.detail());
        let requests = emulator.requests();
        assert!(requests.iter().any(|request| request.path == LOGIN));
        for request in &requests {
            assert_eq!(request.status, Some(200), "{request:?}");
            assert_eq!(request.header("x-gateway-id"), Some(ID.1), "{request:?}");
            assert_eq!(request.header("x-gateway-secret"), Some(SECRET.1), "{request:?}");
            assert_eq!(request.header("x-other"), None, "{request:?}");
        }
        assert_eq!(emulator.connections().len(), 1);
    }
    assert_eq!(login_page.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn an_empty_map_in_the_block_overrides_the_environment() {
    let emulator = emulator().await;
    let environment = [("KMS_CUSTOM_HEADERS", "X-Other=1")];
    for (block, expected) in [(vec![], Some("1")), (vec![headers(&[])], None)] {
        emulator.clear_requests();
        let outcome = create(&emulator.url(), &block, &environment).await;
        let created = emulator.connections().len() == 1;
        assert!(created, "{}", outcome.detail());
        let requests = emulator.requests();
        assert!(requests.iter().all(|request| request.header("x-other") == expected), "{requests:?}");
        emulator.delete(&emulator.connection("analytics").id);
    }
}

#[tokio::test]
async fn a_gateway_without_its_headers_is_an_error_that_says_how_to_send_them() {
    let login_page = Recorder::of_page("200 OK", &[], "<html>Log in</html>").await;
    let emulator = behind_gateway(&format!("{}/login?kid=1&meta=hidden", login_page.url())).await;
    let outcome = create(&emulator.url(), &[], &[]).await;
    assert_eq!(outcome.told(), ["error [] Login page in front of the KMS"]);
    let detail = outcome.detail();
    for words in [&*emulator.url(), "HTTP 302", &*login_page.url(), "asks for a login", "KMS_CUSTOM_HEADERS"]
    {
        assert!(detail.contains(words), "{words}: {detail}");
    }
    assert!(!detail.contains("hidden"), "{detail}");
    assert_eq!(login_page.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn headers_that_a_gateway_refuses_are_named_without_their_values() {
    let login_page = Recorder::of_page("200 OK", &[], "<html>Log in</html>").await;
    let emulator = behind_gateway(&login_page.url()).await;
    let block = [headers(&[ID, (SECRET.0, "another-distinctive-0123")])];
    let outcome = create(&emulator.url(), &block, &[]).await;
    assert_eq!(outcome.told(), ["error [] Login page in front of the KMS"]);
    let detail = outcome.detail();
    assert!(detail.contains("X-Gateway-Id and X-Gateway-Secret"), "{detail}");
    assert!(detail.contains("values"), "{detail}");
    assert!(!detail.contains("another-distinctive-0123"), "{detail}");
    assert!(!outcome.log.contains("another-distinctive-0123"));
}

#[tokio::test]
async fn custom_headers_never_follow_a_redirect_to_another_host() {
    let other = Recorder::of_page("200 OK", &["content-type: application/json"], "{}").await;
    for path in [LOGIN, "/api/v1/app-connections/*"] {
        for status in [301, 302, 303, 307, 308] {
            let emulator = emulator().await;
            let location = format!("{}/somewhere", other.url());
            let target = Target { path: Some(path.into()), ..Target::default() };
            emulator.fault(target, Fault::Redirect { status, location });
            let outcome = create(&emulator.url(), &[headers(&[ID, SECRET])], &[]).await;
            assert!(outcome.detail().contains("redirect"), "{path} {status}: {}", outcome.detail());
        }
    }
    assert_eq!(other.requests(), Vec::<String>::new());
}

#[tokio::test]
async fn custom_headers_never_go_to_a_proxy() {
    let proxy = Recorder::of_page("502 Bad Gateway", &[], "").await;
    let environment = [("HTTPS_PROXY", &*proxy.url())];
    let outcome = create("https://kms.example.com", &[headers(&[ID, SECRET])], &environment).await;
    assert_eq!(outcome.told(), ["error [] No connection to the KMS"]);
    let requests = proxy.requests();
    assert!(requests[0].starts_with("CONNECT kms.example.com:443"), "{requests:?}");
    assert!(requests.iter().all(|request| !request.to_lowercase().contains("x-gateway")), "{requests:?}");
}

#[tokio::test]
async fn custom_headers_never_go_to_aws() {
    let aws = Recorder::of_page("403 Forbidden", &[], "{}").await;
    let emulator = emulator().await;
    let schema = KmsProvider::new(|_| None).schema();
    let Type::Object(types) = schema.value_type() else { panic!("no object") };
    let Type::Object(auth_types) = &types["auth"] else { panic!("no object") };
    let aws_iam = object(&auth_types["aws_iam"], &[("identity_id", Value::string("id"))]);
    let auth = object(&types["auth"], &[("aws_iam", aws_iam)]);
    let attributes = [("host", Value::string(emulator.url())), ("auth", auth), headers(&[ID, SECRET])];
    let block = object(schema.value_type(), &attributes);
    let home = tempfile::tempdir().unwrap();
    let sources = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", format!("{}/credentials", aws.url())),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", aws.url()),
        ("HOME", home.path().to_str().unwrap().to_owned()),
    ];
    let environment = sources.each_ref().map(|(name, value)| (*name, value.as_str()));
    let outcome = create_with(&block, &environment).await;
    assert_eq!(outcome.told(), ["error [] Login to the KMS failed"]);
    let requests = aws.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| !request.to_lowercase().contains("x-gateway")), "{requests:?}");
}

#[tokio::test]
async fn a_value_that_a_gateway_repeats_is_redacted() {
    let emulator = emulator().await;
    let message = format!("No such service token: {}", SECRET.1);
    let body = serde_json::json!({
        "reqId": "req-1", "statusCode": 400, "message": message, "error": "BadRequest",
    });
    emulator.fault(Target::every("POST", LOGIN), Fault::Answer { status: 400, body });
    let outcome = create(&emulator.url(), &[headers(&[ID, SECRET])], &[]).await;
    assert!(outcome.detail().contains("No such service token: (redacted)"), "{}", outcome.detail());
    // In a redirect within the host, whose path is shown.
    emulator.clear_faults();
    let location = format!("/denied/{}", SECRET.1);
    emulator.fault(Target::every("POST", LOGIN), Fault::Redirect { status: 302, location });
    let outcome = create(&emulator.url(), &[headers(&[ID, SECRET])], &[]).await;
    assert!(outcome.detail().contains("/denied/(redacted)"), "{}", outcome.detail());
}

#[tokio::test]
async fn a_redirect_within_the_host_shows_its_path_and_what_it_means() {
    let summary = "error [] Redirect from the KMS";
    let login = "error [] Login page in front of the KMS";
    let moved = format!("/kms{LOGIN}?token=hidden");
    for (location, summary, words) in [
        ("/login?token=hidden", login, &["/login", "KMS_CUSTOM_HEADERS"][..]),
        ("/oauth2/start?rd=hidden", login, &["/oauth2/start", "KMS_CUSTOM_HEADERS"]),
        (&*moved, summary, &["/kms/api/v1/auth", "/kms."]),
        ("/elsewhere?token=hidden#hidden", summary, &["/elsewhere"]),
    ] {
        let header = format!("location: {location}");
        let server = Recorder::of_page("302 Found", &[&header], "").await;
        let outcome = create(&server.url(), &[], &[]).await;
        assert_eq!(outcome.told(), [summary], "{location}");
        let detail = outcome.detail();
        assert!(words.iter().all(|words| detail.contains(words)), "{location}: {detail}");
        assert!(detail.contains(&server.url()) && !detail.contains("hidden"), "{location}: {detail}");
    }
}

#[tokio::test]
async fn a_redirect_to_https_says_to_use_it() {
    let server = Recorder::start("").await;
    let port = server.address.port();
    let location = format!("location: https://localhost:{port}{LOGIN}");
    let server = Recorder::of_page("301 Moved Permanently", &[&location], "").await;
    let url = format!("http://localhost:{}", server.address.port());
    let outcome = create(&url, &[], &[]).await;
    assert_eq!(outcome.told(), ["error [] Redirect from the KMS"]);
    let detail = outcome.detail();
    assert!(detail.contains(&format!("\"host\" (or KMS_HOST) to https://localhost:{port}.")), "{detail}");
}

#[tokio::test]
async fn a_kms_that_moved_for_good_leads_to_its_new_address() {
    for (status, path, summary) in [
        ("301 Moved Permanently", LOGIN, "error [] Redirect from the KMS"),
        ("308 Permanent Redirect", LOGIN, "error [] Redirect from the KMS"),
        ("308 Permanent Redirect", "/sign-in", "error [] Login page in front of the KMS"),
        ("302 Found", LOGIN, "error [] Login page in front of the KMS"),
    ] {
        let location = format!("location: https://new.example.com{path}");
        let server = Recorder::of_page(status, &[&location], "").await;
        let outcome = create(&server.url(), &[], &[]).await;
        assert_eq!(outcome.told(), [summary], "{status} {path}");
        assert!(outcome.detail().contains("https://new.example.com"), "{}", outcome.detail());
        let says_moved = outcome.detail().contains("set \"host\" (or KMS_HOST) to its new address");
        assert_eq!(says_moved, summary.contains("Redirect"), "{}", outcome.detail());
    }
}

#[tokio::test]
async fn a_page_in_place_of_the_kms_names_the_host_the_status_and_what_to_do() {
    let html = ["content-type: text/html"];
    let json = ["content-type: application/json"];
    let page = "<html>Please log in</html>";
    for (status, headers, body, advice) in [
        ("200 OK", html, page, "KMS_CUSTOM_HEADERS"),
        ("401 Unauthorized", html, page, "KMS_CUSTOM_HEADERS"),
        ("403 Forbidden", html, page, "KMS_CUSTOM_HEADERS"),
        ("401 Unauthorized", json, "{\"error\":\"login required\"}", "KMS_CUSTOM_HEADERS"),
        ("403 Forbidden", json, "{\"message\":\"Forbidden\"}", "KMS_CUSTOM_HEADERS"),
        ("501 Unsupported method ('POST')", html, page, "another web server"),
        ("405 Method Not Allowed", html, page, "another web server"),
        ("404 Not Found", html, page, "another web server"),
        ("503 Service Unavailable", html, page, "load balancer"),
    ] {
        let server = Recorder::of_page(status, &headers, body).await;
        let outcome = create(&server.url(), &[], &[]).await;
        assert_eq!(outcome.told(), ["error [] Response not from the KMS"], "{status}");
        let detail = outcome.detail();
        let number = format!("HTTP {}", &status[..3]);
        let check = format!("{}/api/status", server.url());
        for words in [&*server.url(), &*number, advice, &*check, "\"host\" (or KMS_HOST)"] {
            assert!(detail.contains(words), "{status}: {words}: {detail}");
        }
        assert!(!detail.contains("Please log in"), "{detail}");
    }
}

#[tokio::test]
async fn reserved_and_malformed_headers_are_refused_in_the_configuration() {
    for (block, variable) in [
        (Some(headers(&[("Authorization", "distinctive-1")])), ""),
        (Some(headers(&[("X-A", "distinctive-1\r\nX-B: 2")])), ""),
        (None, "host=distinctive-1"),
        (None, "X-A=1 distinctive-1"),
    ] {
        let host = Host::start_with(&[("KMS_CUSTOM_HEADERS", variable)]).await;
        let mut provider = host.provider();
        let extra: Vec<_> = block.into_iter().collect();
        let block = provider_config("http://127.0.0.1:9", &extra);
        let told = configure(&mut provider, &block).await;
        assert_eq!(told, ["error [custom_headers] Invalid custom_headers"], "{variable}");
    }
}

#[tokio::test]
async fn custom_headers_that_are_unknown_wait_until_something_needs_the_kms() {
    let host = Host::start().await;
    let map = |value: Value| Value::Map(BTreeMap::from([("X-A".into(), value)]));
    for unknown in [Value::unknown(), map(Value::unknown())] {
        let mut provider = host.provider();
        let block = provider_config("http://127.0.0.1:9", &[("custom_headers", unknown)]);
        assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
        let (answer, _) = apply(&mut provider, None, &config("analytics", &[])).await;
        assert_eq!(told(&answer.diagnostics), ["error [] The provider's configuration is not known yet"]);
        assert!(answer.diagnostics[0].detail.contains("custom_headers"));
    }
}
