//! Plays Terraform: starts the provider, shakes hands, and calls it.

use std::{
    collections::BTreeMap,
    io,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use hyper_util::rt::TokioIo;
use kms_emulator::{CLIENT_ID, CLIENT_SECRET};
use rcgen::{CertificateParams, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName},
};
use terraform_provider_kms::{
    plugin::{
        provider::Provider as _,
        value::{Refinement, Type, Value},
    },
    provider::KmsProvider,
};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncRead, AsyncWrite, BufReader},
    net::TcpStream,
    process::{Child, Command},
};
use tokio_rustls::TlsConnector;
use tonic::transport::{Channel, Endpoint};

#[allow(clippy::all, missing_docs, dead_code)]
pub mod proto {
    include!(concat!(env!("OUT_DIR"), "/client/tfplugin6.rs"));
}

#[allow(clippy::all, missing_docs, dead_code)]
pub mod go_plugin {
    include!(concat!(env!("OUT_DIR"), "/client/plugin.rs"));
}

#[allow(clippy::all, missing_docs, dead_code)]
pub mod health {
    include!(concat!(env!("OUT_DIR"), "/client/grpc.health.v1.rs"));
}

pub type Provider = proto::provider_client::ProviderClient<Channel>;

pub const COOKIE: (&str, &str) =
    ("TF_PLUGIN_MAGIC_COOKIE", "d602bf8f470bc67ca7faa0386276bbdd4330efaf76d1a219cb4d6991ca9872b2");

/// Longer than anything here takes, and short enough to fail within reason.
pub const TIMEOUT: Duration = Duration::from_secs(20);

pub fn executable() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_terraform-provider-kms"));
    command.env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    // Without it, Windows finds no sockets.
    command.envs(std::env::var_os("SystemRoot").map(|root| ("SystemRoot", root)));
    command
}

/// A one-shot certificate as Terraform makes it: P-521, self-signed, marked as an authority, for localhost.
pub struct ClientIdentity {
    pub pem: String,
    certificate: CertificateDer<'static>,
    key: KeyPair,
}

impl ClientIdentity {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ECDSA_P521_SHA512).unwrap();
        let mut parameters = CertificateParams::new(["localhost".to_owned()]).unwrap();
        parameters.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let certificate = parameters.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), certificate: certificate.der().clone(), key }
    }
}

/// What the provider announced.
#[derive(Clone, Debug)]
pub struct Handshake {
    pub line: String,
    pub network: String,
    pub address: String,
    certificate: Option<CertificateDer<'static>>,
}

impl Handshake {
    /// A provider in debug mode, which announces no certificate.
    #[allow(dead_code, reason = "only the tests of starting debug the provider")]
    pub fn plain_text(network: String, address: String) -> Self {
        Self { line: String::new(), network, address, certificate: None }
    }
}

/// A running provider and the connection to it.
pub struct Host {
    pub child: Child,
    pub handshake: Handshake,
    pub channel: Channel,
    stdout: tokio::task::JoinHandle<String>,
    log: Arc<Mutex<Vec<String>>>,
}

impl Host {
    pub async fn start() -> Self {
        Self::start_with(&[]).await
    }

    pub async fn start_with(environment: &[(&str, &str)]) -> Self {
        let identity = ClientIdentity::new();
        let (child, handshake, stdout, log) = spawn(&identity, environment).await;
        let channel = match connect(&handshake, Some(&identity)).await {
            Ok(channel) => channel,
            Err(error) => panic!("{error}; the provider said {:?}", log.lock().unwrap()),
        };
        Self { child, handshake, channel, stdout, log }
    }

    pub fn provider(&self) -> Provider {
        Provider::new(self.channel.clone()).max_decoding_message_size(64 << 20)
    }

    /// What the provider has logged since this was last called.
    #[allow(dead_code, reason = "only the random lives look into the log while the provider runs")]
    pub fn take_log(&self) -> Vec<String> {
        std::mem::take(&mut self.log.lock().unwrap())
    }

    /// Ends the provider as Terraform does, and returns its exit code and what else it printed on stdout.
    pub async fn shut_down(mut self) -> (Option<i32>, String, Vec<String>) {
        let mut controller =
            go_plugin::grpc_controller_client::GrpcControllerClient::new(self.channel.clone());
        controller.shutdown(go_plugin::Empty {}).await.unwrap();
        let status = tokio::time::timeout(Duration::from_secs(2), self.child.wait()).await;
        let code = status.expect("ends before Terraform would kill it").unwrap().code();
        let rest = self.stdout.await.unwrap();
        let log = self.log.lock().unwrap().clone();
        (code, rest, log)
    }
}

type Spawned = (Child, Handshake, tokio::task::JoinHandle<String>, Arc<Mutex<Vec<String>>>);

/// Starts the provider as Terraform does.
pub async fn spawn(identity: &ClientIdentity, environment: &[(&str, &str)]) -> Spawned {
    // A provider that is killed leaves its socket behind.
    let scratch = tempfile::tempdir().unwrap();
    let mut command = executable();
    command
        .env("TMPDIR", scratch.path())
        .env(COOKIE.0, COOKIE.1)
        .env("PLUGIN_PROTOCOL_VERSIONS", "5,6")
        .env("PLUGIN_CLIENT_CERT", &identity.pem);
    for (name, value) in environment {
        if value.is_empty() {
            command.env_remove(name);
        } else {
            command.env(name, value);
        }
    }
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut stderr = BufReader::new(child.stderr.take().unwrap()).lines();
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    tokio::spawn(async move {
        while let Ok(Some(line)) = stderr.next_line().await {
            lines.lock().unwrap().push(line);
        }
        drop(scratch);
    });
    let mut line = String::new();
    tokio::time::timeout(TIMEOUT, stdout.read_line(&mut line)).await.expect("a handshake line").unwrap();
    let rest = tokio::spawn(async move {
        let mut rest = String::new();
        let _ = tokio::io::AsyncReadExt::read_to_string(&mut stdout, &mut rest).await;
        rest
    });
    (child, parse(&line), rest, log)
}

fn parse(line: &str) -> Handshake {
    let fields: Vec<&str> = line.trim_end_matches('\n').split('|').collect();
    let [core, protocol, network, address, transport, certificate] = fields[..] else {
        panic!("not six fields: {line:?}");
    };
    assert_eq!((core, protocol, transport), ("1", "6", "grpc"));
    let certificate = (!certificate.is_empty())
        .then(|| CertificateDer::from(STANDARD_NO_PAD.decode(certificate).expect("base64 without padding")));
    Handshake { line: line.to_owned(), network: network.into(), address: address.into(), certificate }
}

/// Connects as Terraform does: it trusts exactly the announced certificate and shows its own.
pub async fn connect(
    handshake: &Handshake,
    identity: Option<&ClientIdentity>,
) -> Result<Channel, Box<dyn std::error::Error>> {
    let (network, address) = (handshake.network.clone(), handshake.address.clone());
    let tls = handshake.certificate.as_ref().map(|certificate| tls(certificate.clone(), identity));
    let connector = tower::service_fn(move |_| {
        let (network, address, tls) = (network.clone(), address.clone(), tls.clone());
        async move {
            let stream = dial(&network, &address).await?;
            let stream: Box<dyn Duplex> = match tls {
                None => stream,
                Some(tls) => {
                    let name = ServerName::try_from("localhost").unwrap();
                    Box::new(TlsConnector::from(tls).connect(name, stream).await?)
                }
            };
            Ok::<_, io::Error>(TokioIo::new(stream))
        }
    });
    let endpoint = Endpoint::from_static("http://localhost");
    Ok(tokio::time::timeout(TIMEOUT, endpoint.connect_with_connector(connector)).await??)
}

/// Connects to a socket as go-plugin names it.
async fn dial(network: &str, address: &str) -> io::Result<Box<dyn Duplex>> {
    match network {
        #[cfg(unix)]
        "unix" => Ok(Box::new(tokio::net::UnixStream::connect(address).await?)),
        "tcp" => Ok(Box::new(TcpStream::connect(address).await?)),
        other => panic!("no network: {other}"),
    }
}

fn tls(server: CertificateDer<'static>, identity: Option<&ClientIdentity>) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(server).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let builder = builder.with_root_certificates(roots);
    let mut config = match identity {
        None => builder.with_no_client_auth(),
        Some(identity) => {
            let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(identity.key.serialize_der()));
            builder.with_client_auth_cert(vec![identity.certificate.clone()], key).unwrap()
        }
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    Arc::new(config)
}

pub trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

// ---- values ----

/// An object with these attributes, and null for all others of the type.
pub fn object(value_type: &Type, attributes: &[(&str, Value)]) -> Value {
    let Type::Object(types) = value_type else { panic!("not an object type") };
    let mut object: BTreeMap<_, Value> = types.keys().map(|name| (name.clone(), Value::Null)).collect();
    for (name, value) in attributes {
        assert!(object.insert((*name).to_owned().into(), value.clone()).is_some(), "no attribute {name}");
    }
    Value::Map(object)
}

/// The provider block for a KMS, with these attributes besides the host and the login.
pub fn provider_config(url: &str, extra: &[(&str, Value)]) -> Value {
    let schema = KmsProvider::new(|_| None).schema();
    let Type::Object(types) = schema.value_type() else { panic!("no object") };
    let Type::Object(auth_types) = &types["auth"] else { panic!("no object") };
    let universal = object(
        &auth_types["universal"],
        &[("client_id", Value::string(CLIENT_ID)), ("client_secret", Value::string(CLIENT_SECRET))],
    );
    let auth = object(&types["auth"], &[("universal", universal)]);
    let mut attributes = vec![("host", Value::string(url)), ("auth", auth)];
    attributes.extend(extra.iter().cloned());
    object(schema.value_type(), &attributes)
}

pub fn message(value: &Value) -> Option<proto::DynamicValue> {
    Some(proto::DynamicValue { msgpack: value.to_msgpack(), json: Vec::new() })
}

pub fn value(message: Option<proto::DynamicValue>, value_type: &Type) -> Value {
    match message {
        None => Value::Null,
        Some(message) => Value::from_msgpack(&message.msgpack, value_type).unwrap(),
    }
}

/// An unknown text of which the beginning is known, as a template gives it.
pub fn unknown_with_prefix(prefix: &str) -> Value {
    Value::Unknown(Box::new(Refinement { prefix: Some(prefix.to_owned()), ..Refinement::not_null() }))
}

/// The errors and warnings of an answer, one line each: severity, attribute, summary.
pub fn told(diagnostics: &[proto::Diagnostic]) -> Vec<String> {
    let one = |diagnostic: &proto::Diagnostic| {
        use proto::attribute_path::step::Selector;
        let steps = diagnostic.attribute.iter().flat_map(|path| &path.steps);
        let path = steps.filter_map(|step| match step.selector.as_ref()? {
            Selector::AttributeName(name) => Some(name.clone()),
            Selector::ElementKeyString(key) => Some(key.clone()),
            Selector::ElementKeyInt(index) => Some(index.to_string()),
        });
        let severity = if diagnostic.severity == 1 { "error" } else { "warning" };
        format!("{severity} [{}] {}", path.collect::<Vec<_>>().join("."), diagnostic.summary)
    };
    diagnostics.iter().map(one).collect()
}
