//! Logins with an AWS identity, from each source of AWS credentials. No test reads the developer's own.

use std::{
    convert::Infallible,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex},
};

use hyper::{
    Request, Response,
    body::{Body as _, Incoming},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kms_emulator::{
    AWS_ACCESS_KEY_ID, AWS_LOGIN, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_TEMPORARY_ACCESS_KEY_ID,
    AWS_TEMPORARY_SECRET_ACCESS_KEY, Emulator, IDENTITY_ID,
};
use terraform_provider_kms::{
    plugin::{
        provider::Provider as _,
        value::{Number, Type, Value},
    },
    provider::KmsProvider,
};
use tokio::{net::TcpListener, task::AbortHandle};

use crate::{
    host::{Host, object, proto, told},
    resource::{apply, config, configure, emulator},
};

const WEB_IDENTITY_TOKEN: &str = "eyJhbGciOiJub25lIn0.d2ViLWlkZW50aXR5.ZGlzdGluY3RpdmU";
const CONTAINER_TOKEN: &str = "Bearer container-token-D9s8t7";
const INSTANCE_TOKEN: &str = "instance-token-T5r4e3==";
const SSO_TOKEN: &str = "sso-token-Q1w2e3r4";
const SECRETS: [&str; 7] = [
    AWS_SECRET_ACCESS_KEY,
    AWS_TEMPORARY_SECRET_ACCESS_KEY,
    AWS_SESSION_TOKEN,
    WEB_IDENTITY_TOKEN,
    CONTAINER_TOKEN,
    INSTANCE_TOKEN,
    SSO_TOKEN,
];

/// One request to the [`Aws`] server: method, path, the header that authorizes it, body.
#[derive(Clone, Debug)]
struct Asked {
    method: String,
    path: String,
    authorization: String,
    body: String,
}

/// Plays STS and the endpoints that give credentials to containers and instances.
struct Aws {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Asked>>>,
    task: AbortHandle,
}

impl Aws {
    async fn start(respond: fn(&Asked) -> (u16, String)) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let log = Arc::clone(&log);
                let service = service_fn(move |request: Request<Incoming>| {
                    let log = Arc::clone(&log);
                    async move {
                        let asked = Asked::read(request).await;
                        let (status, body) = respond(&asked);
                        log.lock().unwrap().push(asked);
                        // The metadata service says how long its token lives.
                        let response =
                            Response::builder().header("x-aws-ec2-metadata-token-ttl-seconds", "60");
                        Ok::<_, Infallible>(response.status(status).body(body).unwrap())
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, asked, task: task.abort_handle() }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }
}

impl Drop for Aws {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Asked {
    async fn read(request: Request<Incoming>) -> Self {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let (method, path) = (request.method().to_string(), request.uri().path().to_owned());
        let authorizing = ["authorization", "x-aws-ec2-metadata-token", "x-amz-sso_bearer_token"];
        let authorization = authorizing.into_iter().find_map(header).unwrap_or_default();
        let (mut body, mut text) = (request.into_body(), Vec::new());
        while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
            text.extend_from_slice(frame.unwrap().data_ref().unwrap());
        }
        Self { method, path, authorization, body: String::from_utf8(text).unwrap() }
    }
}

/// The temporary keys, as STS gives them.
fn assumed(action: &str) -> String {
    format!(
        "<{action}Response xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><{action}Result><Credentials>\
         <AccessKeyId>{AWS_TEMPORARY_ACCESS_KEY_ID}</AccessKeyId>\
         <SecretAccessKey>{AWS_TEMPORARY_SECRET_ACCESS_KEY}</SecretAccessKey>\
         <SessionToken>{AWS_SESSION_TOKEN}</SessionToken><Expiration>2126-11-24T00:00:00Z</Expiration>\
         </Credentials></{action}Result></{action}Response>"
    )
}

/// The temporary keys, as the endpoints of containers and instances and external processes give them.
fn as_json(token_name: &str) -> String {
    format!(
        "{{\"Version\": 1, \"Code\": \"Success\", \"AccessKeyId\": \"{AWS_TEMPORARY_ACCESS_KEY_ID}\", \
         \"SecretAccessKey\": \"{AWS_TEMPORARY_SECRET_ACCESS_KEY}\", \"{token_name}\": \"{AWS_SESSION_TOKEN}\", \
         \"Expiration\": \"2126-11-24T00:00:00Z\"}}"
    )
}

/// What a login came to.
struct Outcome {
    errors: Vec<proto::Diagnostic>,
    log: String,
    statuses: Vec<Option<u16>>,
}

impl Outcome {
    fn succeeded(&self, source: &str, region: &str) {
        assert_eq!(told(&self.errors), Vec::<String>::new(), "{}", self.log);
        assert_eq!(self.statuses, [Some(200)]);
        let found = self.log.lines().find(|line| line.contains("found AWS credentials")).unwrap();
        let found: serde_json::Value = serde_json::from_str(found).unwrap();
        assert_eq!((found["source"].as_str(), found["region"].as_str()), (Some(source), Some(region)));
    }

    fn failed(&self, words: &[&str]) {
        assert_eq!(told(&self.errors), ["error [] Login to the KMS failed"]);
        let detail = &self.errors[0].detail;
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
    }
}

/// A home without anything in it, for processes that look for `~/.aws`.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    /// Creates a connection with a provider that has this environment and no other, and logs all it can.
    async fn log_in(&self, emulator: &Emulator, identity_id: &str, environment: &[(&str, &str)]) -> Outcome {
        let home = self.0.path().to_str().unwrap();
        let mut variables =
            vec![("HOME", home), ("TF_LOG_PROVIDER", "TRACE"), ("AWS_EC2_METADATA_DISABLED", "true")];
        variables.extend(environment);
        let host = Host::start_with(&variables).await;
        let mut provider = host.provider();
        let block = aws_block(&emulator.url(), identity_id);
        assert_eq!(configure(&mut provider, &block).await, Vec::<String>::new());
        assert!(emulator.requests().is_empty(), "nothing is looked for before the first call");
        let (answer, _) = apply(&mut provider, None, &config("analytics", &[])).await;
        let (_, _, log) = host.shut_down().await;
        let log = log.join("\n");
        for secret in SECRETS {
            assert!(!log.contains(secret), "the log holds {secret}");
            assert!(!format!("{:?}", answer.diagnostics).contains(secret), "an error holds {secret}");
        }
        let logins = emulator.requests().into_iter().filter(|request| request.is("POST", AWS_LOGIN));
        Outcome { errors: answer.diagnostics, log, statuses: logins.map(|login| login.status).collect() }
    }
}

fn aws_block(url: &str, identity_id: &str) -> Value {
    let schema = KmsProvider::new(|_| None).schema();
    let Type::Object(types) = schema.value_type() else { panic!("no object") };
    let Type::Object(auth_types) = &types["auth"] else { panic!("no object") };
    let aws_iam = object(&auth_types["aws_iam"], &[("identity_id", Value::string(identity_id))]);
    let auth = object(&types["auth"], &[("aws_iam", aws_iam)]);
    let retries = Value::Number(Number::Int(1));
    object(schema.value_type(), &[("host", Value::string(url)), ("auth", auth), ("max_retries", retries)])
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}

const ENVIRONMENT: &str = "the environment variables";
const FILES: &str = "the shared config and credentials files";

#[tokio::test]
async fn keys_in_the_environment_log_in_and_nothing_else_is_asked() {
    let keys = [("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY)];
    for (region, expected) in [
        (None, "us-east-1"),
        (Some(("AWS_REGION", "eu-west-1")), "eu-west-1"),
        (Some(("AWS_DEFAULT_REGION", "eu-north-1")), "eu-north-1"),
    ] {
        let emulator = emulator().await;
        let environment: Vec<_> = keys.into_iter().chain(region).collect();
        Home::new().log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(ENVIRONMENT, expected);
    }
}

#[tokio::test]
async fn a_session_token_goes_along_and_is_signed() {
    let emulator = emulator().await;
    let environment = [
        ("AWS_ACCESS_KEY_ID", AWS_TEMPORARY_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", AWS_TEMPORARY_SECRET_ACCESS_KEY),
        ("AWS_SESSION_TOKEN", AWS_SESSION_TOKEN),
    ];
    Home::new().log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(ENVIRONMENT, "us-east-1");
}

#[tokio::test]
async fn a_profile_has_keys_and_a_region() {
    let keys =
        format!("aws_access_key_id = {AWS_ACCESS_KEY_ID}\naws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n");
    let emulator = emulator().await;
    let home = Home::new();
    home.write(".aws/credentials", &format!("[default]\naws_access_key_id = x\n[deploy]\n{keys}"));
    home.write(".aws/config", "[profile deploy]\nregion = eu-west-3\n");
    let environment = [("AWS_PROFILE", "deploy")];
    home.log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(FILES, "eu-west-3");
}

#[tokio::test]
async fn files_may_be_elsewhere_and_a_process_may_have_the_keys() {
    let emulator = emulator().await;
    let home = Home::new();
    let keys = home.write("keys.json", &as_json("SessionToken"));
    let print = if cfg!(windows) { "type" } else { "cat" };
    let config = format!("[default]\nregion = eu-west-2\ncredential_process = {print} {}\n", path(&keys));
    let config = home.write("elsewhere/config", &config);
    let environment = [("AWS_CONFIG_FILE", path(&config)), ("PATH", "/usr/bin:/bin")];
    home.log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(FILES, "eu-west-2");
}

#[tokio::test]
async fn a_profile_may_assume_a_role_with_the_keys_of_another() {
    let aws = Aws::start(|_| (200, assumed("AssumeRole"))).await;
    let emulator = emulator().await;
    let home = Home::new();
    home.write(
        ".aws/config",
        &format!(
            "[profile base]\naws_access_key_id = {AWS_ACCESS_KEY_ID}\n\
             aws_secret_access_key = {AWS_SECRET_ACCESS_KEY}\n\
             [profile deploy]\nrole_arn = arn:aws:iam::123456789012:role/deploy\nsource_profile = base\n"
        ),
    );
    let environment = [("AWS_PROFILE", "deploy"), ("AWS_ENDPOINT_URL_STS", &aws.url(""))];
    home.log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(FILES, "us-east-1");
    let asked = aws.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].body.contains("Action=AssumeRole&") && asked[0].body.contains("role%2Fdeploy"));
    assert!(asked[0].authorization.contains(AWS_ACCESS_KEY_ID), "{}", asked[0].authorization);
}

#[tokio::test]
async fn a_profile_may_be_of_iam_identity_center() {
    let aws = Aws::start(|asked| match asked.authorization.as_str() {
        SSO_TOKEN => (
            200,
            format!(
                "{{\"roleCredentials\": {{\"accessKeyId\": \"{AWS_TEMPORARY_ACCESS_KEY_ID}\", \
                 \"secretAccessKey\": \"{AWS_TEMPORARY_SECRET_ACCESS_KEY}\", \
                 \"sessionToken\": \"{AWS_SESSION_TOKEN}\", \"expiration\": 4951324800000}}}}"
            ),
        ),
        _ => (401, String::new()),
    })
    .await;
    let emulator = emulator().await;
    let home = Home::new();
    home.write(
        ".aws/config",
        "[sso-session corp]\nsso_region = eu-west-1\nsso_start_url = https://corp.awsapps.com/start\n\
         [profile dev]\nsso_session = corp\nsso_account_id = 123456789012\nsso_role_name = Deploy\n",
    );
    // `aws sso login` keeps its token under the SHA-1 of the session's name.
    home.write(
        ".aws/sso/cache/ee0bfd2552fbd840c02cc48b6e823320543c450f.json",
        &format!("{{\"accessToken\": \"{SSO_TOKEN}\", \"expiresAt\": \"2126-11-24T00:00:00Z\"}}"),
    );
    let environment = [("AWS_PROFILE", "dev"), ("AWS_ENDPOINT_URL_SSO", &aws.url(""))];
    home.log_in(&emulator, IDENTITY_ID, &environment).await.succeeded(FILES, "us-east-1");
    assert_eq!(aws.asked().len(), 1);
    assert_eq!(aws.asked()[0].path, "/federation/credentials");
}

#[tokio::test]
async fn a_profile_of_an_unsupported_kind_comes_with_the_way_around_it() {
    let emulator = emulator().await;
    let home = Home::new();
    home.write(".aws/config", "[default]\nlogin_session = arn:aws:iam::123456789012:user/me\n");
    let outcome = home.log_in(&emulator, IDENTITY_ID, &[]).await;
    outcome.failed(&[FILES, "`aws configure export-credentials`"]);
}

#[tokio::test]
async fn a_web_identity_token_is_exchanged_for_keys() {
    let aws = Aws::start(|_| (200, assumed("AssumeRoleWithWebIdentity"))).await;
    let emulator = emulator().await;
    let home = Home::new();
    let token = home.write("token", WEB_IDENTITY_TOKEN);
    let environment = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", path(&token)),
        ("AWS_ROLE_ARN", "arn:aws:iam::123456789012:role/pod"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ENDPOINT_URL_STS", &aws.url("")),
    ];
    let outcome = home.log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.succeeded("the web identity token", "eu-central-1");
    let asked = aws.asked();
    assert_eq!(asked.len(), 1);
    assert!(asked[0].body.contains(WEB_IDENTITY_TOKEN) && asked[0].body.contains("role%2Fpod"));
    assert_eq!(asked[0].authorization, "", "the token is all there is");
}

#[tokio::test]
async fn a_containers_endpoint_gives_keys_for_its_token_and_is_reached_past_any_proxy() {
    let aws = Aws::start(|_| (200, as_json("Token"))).await;
    let emulator = emulator().await;
    let home = Home::new();
    let token = home.write("token", CONTAINER_TOKEN);
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", aws.url("/v1/credentials")),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", path(&token).to_owned()),
        ("AWS_REGION", "ap-southeast-2".to_owned()),
        // Nobody listens there.
        ("http_proxy", "http://127.0.0.1:9".to_owned()),
    ];
    let environment: Vec<_> = environment.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let outcome = home.log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.succeeded("the container's credentials endpoint", "ap-southeast-2");
    let asked = aws.asked();
    assert_eq!(asked.len(), 1);
    assert_eq!(
        (asked[0].path.as_str(), asked[0].authorization.as_str()),
        ("/v1/credentials", CONTAINER_TOKEN)
    );
}

#[tokio::test]
async fn an_instance_gives_the_keys_of_its_role_and_its_region_for_a_session() {
    let aws = Aws::start(|asked| match (asked.method.as_str(), asked.path.as_str()) {
        ("PUT", "/latest/api/token") => (200, INSTANCE_TOKEN.to_owned()),
        _ if asked.authorization != INSTANCE_TOKEN => (401, String::new()),
        ("GET", "/latest/meta-data/placement/region") => (200, "eu-south-1".to_owned()),
        ("GET", path) if path.ends_with("/deploy-role") => (200, as_json("Token")),
        ("GET", path) if path.contains("/iam/security-credentials") => (200, "deploy-role".to_owned()),
        _ => (404, String::new()),
    })
    .await;
    let emulator = emulator().await;
    let environment =
        [("AWS_EC2_METADATA_DISABLED", ""), ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*aws.url(""))];
    let outcome = Home::new().log_in(&emulator, IDENTITY_ID, &environment).await;
    assert!(outcome.errors.is_empty(), "{:?} {:#?}", outcome.errors, aws.asked());
    outcome.succeeded("the instance metadata service", "eu-south-1");
}

#[tokio::test]
async fn without_any_credentials_the_sources_are_named() {
    let emulator = emulator().await;
    let environment = [("AWS_PROFILE", "mistyped")];
    let home = Home::new();
    home.write(".aws/config", "[profile other]\nregion = eu-west-1\n");
    let outcome = home.log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.failed(&[
        "no AWS credentials found",
        ENVIRONMENT,
        FILES,
        "mistyped",
        "the web identity token",
        "the container's credentials endpoint",
        "the instance metadata service",
        "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    ]);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_source_that_fails_is_named_and_the_next_is_not_tried() {
    let aws = Aws::start(|asked| match asked.path.as_str() {
        "/credentials" => (403, "not today".to_owned()),
        _ => (500, "must not be asked".to_owned()),
    })
    .await;
    let emulator = emulator().await;
    let environment = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &*aws.url("/credentials")),
        ("AWS_EC2_METADATA_DISABLED", ""),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", &*aws.url("")),
    ];
    let outcome = Home::new().log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.failed(&["could not load AWS credentials from the container's credentials endpoint", "403"]);
    assert!(aws.asked().iter().all(|asked| asked.path == "/credentials"), "{:?}", aws.asked());

    let home = Home::new();
    let role = "arn:aws:iam::123456789012:role/pod";
    let environment = [("AWS_WEB_IDENTITY_TOKEN_FILE", "/no/such/token"), ("AWS_ROLE_ARN", role)];
    home.log_in(&emulator, IDENTITY_ID, &environment).await.failed(&["from the web identity token"]);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_region_that_can_not_be_one_is_named() {
    let emulator = emulator().await;
    let environment = [
        ("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID),
        ("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY),
        ("AWS_REGION", "eu-west-1.example.com"),
    ];
    let outcome = Home::new().log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.failed(&["\"eu-west-1.example.com\" is not a valid name of an AWS region", "Set AWS_REGION"]);
    assert!(emulator.requests().is_empty());
}

#[tokio::test]
async fn a_call_that_sts_refuses_ends_in_what_to_check() {
    let emulator = emulator().await;
    let environment =
        [("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", "a/wrong/secret/key")];
    let outcome = Home::new().log_in(&emulator, IDENTITY_ID, &environment).await;
    outcome.failed(&["could not verify the AWS identity", "aws sts get-caller-identity", "req-", "clock"]);
    assert_eq!(outcome.statuses, [Some(500); 2], "a fault of the server looks the same, so it is repeated");
}

#[tokio::test]
async fn an_identity_without_aws_auth_is_refused_once() {
    let emulator = emulator().await;
    let environment =
        [("AWS_ACCESS_KEY_ID", AWS_ACCESS_KEY_ID), ("AWS_SECRET_ACCESS_KEY", AWS_SECRET_ACCESS_KEY)];
    let outcome = Home::new().log_in(&emulator, "b7b9a3f2-2c64-4f0d-8e1b-7c3f5d9e6aff", &environment).await;
    outcome.failed(&["refused the login with AWS IAM Auth", "did you configure AWS auth?"]);
    assert_eq!(outcome.statuses, [Some(404)]);
}
