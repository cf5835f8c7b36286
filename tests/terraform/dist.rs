//! The archives of `make dist`: what the registries ask of them, and that Terraform installs from them, out of a folder
//! and from a server.
//!
//! The executable in them is the one built for this test, and that of the second platform a stand-in, which nothing
//! starts. `KMS_TEST_DIST=dist` tests the archives in that folder instead.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Arc, LazyLock},
    thread,
};

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use kms_emulator::{CLIENT_ID, CLIENT_SECRET, Emulator, Options};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use rustls_pki_types::PrivateKeyDer;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::harness::{cli, clients, releases::Program};

const VERSION: &str = env!("CARGO_PKG_VERSION");
const STEM: &str = concat!("terraform-provider-kms_", env!("CARGO_PKG_VERSION"));
const PLATFORMS: [&str; 2] = ["linux_amd64", "linux_arm64"];

/// Terraform and OpenTofu name the same provider by their own registry.
const HOSTS: [&str; 2] = ["registry.terraform.io", "registry.opentofu.org"];

const CONFIGURATION: &str = r#"
terraform {
  required_providers {
    kms = {
      source = "hanzoai/kms"
    }
  }
}

variable "token" {
  type      = string
  ephemeral = true
  default   = "dbtc_archive"
}

resource "kms_dbt_connection" "it" {
  name         = "analytics"
  instance_url = "https://cloud.getdbt.com"
  account_id   = "12345"
  api_token    = var.token
}
"#;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn hex(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn succeeded(output: Output) -> String {
    assert!(output.status.success(), "{}", printed(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// The platform of this machine, as the registries name it.
fn own_platform() -> &'static str {
    if cfg!(target_arch = "aarch64") { "linux_arm64" } else { "linux_amd64" }
}

/// Packs an executable into a folder.
fn pack(executable: &Path, platform: &str, out: &Path) {
    let mut command = Command::new(root().join("scripts/dist"));
    command.arg("--executable").arg(executable).args(["--platform", platform, "--out"]).arg(out);
    succeeded(command.env_remove("GPG_FINGERPRINT").output().unwrap());
}

/// What is packed where nothing starts it.
fn stand_in(folder: &Path, content: &str) -> PathBuf {
    let file = folder.join("stand-in");
    fs::write(&file, content).unwrap();
    file
}

struct Archives {
    folder: PathBuf,
    _scratch: TempDir,
}

/// Packed once for all tests.
static ARCHIVES: LazyLock<Archives> = LazyLock::new(|| {
    let scratch = tempfile::tempdir().unwrap();
    if let Some(folder) = std::env::var_os("KMS_TEST_DIST") {
        return Archives { folder: root().join(folder), _scratch: scratch };
    }
    // Without what debuggers need, which is most of it and takes long to pack.
    let executable = scratch.path().join("executable");
    let mut strip = Command::new("strip");
    succeeded(
        strip.arg("-o").arg(&executable).arg(env!("CARGO_BIN_EXE_terraform-provider-kms")).output().unwrap(),
    );
    let folder = scratch.path().join("dist");
    for platform in PLATFORMS {
        let other = stand_in(scratch.path(), "for another machine");
        pack(if platform == own_platform() { &executable } else { &other }, platform, &folder);
    }
    Archives { folder, _scratch: scratch }
});

impl Archives {
    fn file(&self, ending: &str) -> PathBuf {
        self.folder.join(format!("{STEM}_{ending}"))
    }

    fn zip(&self, platform: &str) -> PathBuf {
        self.file(&format!("{platform}.zip"))
    }
}

#[derive(Debug, PartialEq)]
struct Entry {
    mode: u64,
    system: u64,
    date: Vec<u64>,
    sha256: String,
}

/// What is in an archive, by name.
fn entries(zip: &Path) -> BTreeMap<String, Entry> {
    const LIST: &str = "import hashlib, json, sys, zipfile\n\
        z = zipfile.ZipFile(sys.argv[1])\n\
        print(json.dumps([[i.filename, i.external_attr >> 16, i.create_system, i.date_time, \
        hashlib.sha256(z.read(i)).hexdigest()] for i in z.infolist()]))";
    let listed = succeeded(Command::new("python3").args(["-c", LIST]).arg(zip).output().unwrap());
    let listed: Vec<(String, u64, u64, Vec<u64>, String)> = serde_json::from_str(&listed).unwrap();
    let number = listed.len();
    let found: BTreeMap<_, _> = listed
        .into_iter()
        .map(|(name, mode, system, date, sha256)| (name, Entry { mode, system, date, sha256 }))
        .collect();
    assert_eq!(found.len(), number, "a name twice");
    found
}

/// Writes the executable of an archive to a file.
fn extract(zip: &Path, file: &Path) {
    const READ: &str = "import sys, zipfile\n\
        open(sys.argv[3], 'wb').write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
    let mut command = Command::new("python3");
    command.args(["-c", READ]).arg(zip).arg(format!("terraform-provider-kms_v{VERSION}")).arg(file);
    succeeded(command.output().unwrap());
    fs::set_permissions(file, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Terraform's hash of a package, as lock files have it: that of the list of its files.
fn h1(zip: &Path) -> String {
    let list: String =
        entries(zip).iter().map(|(name, entry)| format!("{}  {name}\n", entry.sha256)).collect();
    format!("h1:{}", STANDARD.encode(digest(&SHA256, list.as_bytes())))
}

#[test]
fn files_are_named_and_summed_as_the_registries_want() {
    let mut names: Vec<String> = fs::read_dir(&ARCHIVES.folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".sig"))
        .collect();
    names.sort();
    let expected = ["SHA256SUMS", "linux_amd64.zip", "linux_arm64.zip", "manifest.json"];
    assert_eq!(names, expected.map(|ending| format!("{STEM}_{ending}")));

    let sums: String = expected[1..]
        .iter()
        .map(|ending| format!("{}  {STEM}_{ending}\n", hex(&fs::read(ARCHIVES.file(ending)).unwrap())))
        .collect();
    assert_eq!(fs::read_to_string(ARCHIVES.file("SHA256SUMS")).unwrap(), sums);

    let manifest: Value = serde_json::from_slice(&fs::read(ARCHIVES.file("manifest.json")).unwrap()).unwrap();
    assert_eq!(manifest, json!({ "version": 1, "metadata": { "protocol_versions": ["6.0"] } }));
}

#[test]
fn an_archive_has_the_executable_and_the_licenses() {
    for platform in PLATFORMS {
        let entries = entries(&ARCHIVES.zip(platform));
        let names: Vec<&String> = entries.keys().collect();
        let executable = format!("terraform-provider-kms_v{VERSION}");
        assert_eq!(names, ["LICENSE", "THIRD-PARTY-LICENSES", &executable]);
        for (name, entry) in &entries {
            let mode = if *name == executable { 0o100_755 } else { 0o100_644 };
            assert_eq!((entry.mode, entry.system), (mode, 3), "{name}");
            assert_eq!(entry.date, [1980, 1, 1, 0, 0, 0], "{name}");
        }
        assert_eq!(entries["LICENSE"].sha256, hex(&fs::read(root().join("LICENSE")).unwrap()));
    }
}

#[test]
fn the_licenses_name_all_that_is_linked_in() {
    let read =
        "import sys, zipfile; print(zipfile.ZipFile(sys.argv[1]).read('THIRD-PARTY-LICENSES').decode())";
    let mut command = Command::new("python3");
    let text = succeeded(command.args(["-c", read]).arg(ARCHIVES.zip("linux_amd64")).output().unwrap());
    let listed = |name: &str| text.lines().any(|line| line.starts_with(&format!("- {name} ")));

    let cargo = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let direct = cargo.split("[dependencies]\n").nth(1).unwrap().split("\n\n").next().unwrap();
    for name in direct.lines().map(|line| line.split(' ').next().unwrap()) {
        assert!(listed(name), "{name} is linked in and not named");
    }
    for name in ["aws-lc-sys", "rustls-webpki", "Rust's"] {
        assert!(listed(name), "{name} is linked in and not named");
    }
    for other in ["proptest", "tempfile", "protox", "serde_derive", "jni", "terraform-provider-kms"] {
        assert!(!listed(other), "{other} is named and not linked in");
    }
    let authors = "Copyright (c) 2019 Tower Contributors";
    assert!(text.contains(authors), "a text of its own in a package is missing");
}

#[test]
fn packing_again_gives_the_same_bytes() {
    let scratch = tempfile::tempdir().unwrap();
    let executable = stand_in(scratch.path(), "the same");
    let packed = |folder: &str, mode: u32| {
        let out = scratch.path().join(folder);
        // What must not count: rights and time of the file.
        fs::set_permissions(&executable, fs::Permissions::from_mode(mode)).unwrap();
        fs::write(&executable, "the same").unwrap();
        pack(&executable, "linux_arm64", &out);
        fs::read(out.join(format!("{STEM}_linux_arm64.zip"))).unwrap()
    };
    assert!(packed("first", 0o644) == packed("a/second", 0o755), "the archives differ");
}

#[test]
fn the_sums_are_signed_with_an_rsa_key_and_with_no_other() {
    if Command::new("gpg").arg("--version").output().is_err() {
        eprintln!("SKIPPED: signatures were not tried, because there is no gpg.");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let home = scratch.path().join("gnupg");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o700)).unwrap();
    let gpg = |arguments: &[&str]| {
        let mut command = Command::new("gpg");
        command.args(["--batch", "--pinentry-mode", "loopback", "--passphrase", ""]).args(arguments);
        command.env("GNUPGHOME", &home).output().unwrap()
    };
    let out = scratch.path().join("dist");
    pack(&stand_in(scratch.path(), "signed"), "linux_amd64", &out);
    let sign = |name: &str, algorithm: &str| {
        succeeded(gpg(&["--quick-generate-key", name, algorithm, "sign", "never"]));
        let mut command = Command::new(root().join("scripts/dist"));
        command.arg("--sums").arg("--out").arg(&out).env("GNUPGHOME", &home).env("GPG_FINGERPRINT", name);
        command.output().unwrap()
    };
    let sums = out.join(format!("{STEM}_SHA256SUMS"));
    let signature = out.join(format!("{STEM}_SHA256SUMS.sig"));

    let refused = sign("curve@example.com", "ed25519");
    assert!(
        !refused.status.success() && printed(&refused).contains("is not an RSA key"),
        "{}",
        printed(&refused)
    );
    assert!(!signature.exists(), "a signature that the registry refuses is left");

    succeeded(sign("rsa@example.com", "rsa2048"));
    let verify = || gpg(&["--verify", signature.to_str().unwrap(), sums.to_str().unwrap()]);
    succeeded(verify());
    // Binary: a packet, with the highest bit set, and no text.
    assert!(fs::read(&signature).unwrap()[0] & 0x80 != 0, "it is armored");
    fs::write(&sums, "other sums").unwrap();
    assert!(!verify().status.success());

    // New sums, and nobody who signs them.
    pack(&stand_in(scratch.path(), "unsigned"), "linux_amd64", &out);
    assert!(!signature.exists(), "the signature of other sums is left");
}

/// A folder with a configuration, and Terraform in it.
struct Workspace {
    terraform: PathBuf,
    folder: TempDir,
    environment: Vec<(&'static str, String)>,
    is_tofu: bool,
}

impl Workspace {
    /// One under each client that the tests run on.
    fn each() -> Vec<Self> {
        let clients = clients::asked_for();
        let workspace = |client: &String| {
            let folder = tempfile::tempdir().unwrap();
            fs::write(folder.path().join("main.tf"), CONFIGURATION).unwrap();
            let is_tofu = clients::release(client).program == Program::OpenTofu;
            Self { terraform: clients::executable(client), folder, environment: Vec::new(), is_tofu }
        };
        clients.iter().map(workspace).collect()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where Terraform is to find providers, and nowhere else.
    fn install_from(&self, method: &str) {
        fs::write(self.path("cli.tfrc"), format!("provider_installation {{\n{method}\n}}\n")).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Output {
        cli::command(&self.terraform, self.folder.path(), self.folder.path())
            .args(arguments)
            .env("TF_CLI_CONFIG_FILE", self.path("cli.tfrc"))
            .envs(self.environment.iter().cloned())
            .output()
            .unwrap()
    }

    /// Plans, to create the one connection.
    fn plans_one(&self) {
        let planned = self.run(&["plan", "-no-color", "-detailed-exitcode"]);
        assert_eq!(planned.status.code(), Some(2), "{}", printed(&planned));
        assert!(
            printed(&planned).contains("Plan: 1 to add, 0 to change, 0 to destroy."),
            "{}",
            printed(&planned)
        );
    }

    /// The hashes of the lock file, sorted.
    fn locked(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path(".terraform.lock.hcl")).unwrap();
        assert!(text.contains(&format!("version = \"{VERSION}\"")), "{text}");
        let mut hashes: Vec<String> = text
            .split('"')
            .filter(|word| word.starts_with("h1:") || word.starts_with("zh:"))
            .map(str::to_owned)
            .collect();
        hashes.sort();
        hashes
    }

    /// Forgets what was installed and locked.
    fn forget(&self) {
        fs::remove_dir_all(self.path(".terraform")).unwrap();
        fs::remove_file(self.path(".terraform.lock.hcl")).unwrap();
    }
}

/// Lays the archives out as mirrors have them, for Terraform and for OpenTofu.
fn mirror(folder: &Path) {
    for host in HOSTS {
        let folder = folder.join(host).join("hanzoai/kms");
        fs::create_dir_all(&folder).unwrap();
        for platform in PLATFORMS {
            fs::copy(ARCHIVES.zip(platform), folder.join(ARCHIVES.zip(platform).file_name().unwrap()))
                .unwrap();
        }
    }
}

fn login(emulator: &Emulator) -> [(&'static str, String); 3] {
    [
        ("KMS_HOST", emulator.url()),
        ("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID.into()),
        ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET.into()),
    ]
}

/// What a lock for both platforms has.
fn both_locked() -> [String; 2] {
    let mut both = PLATFORMS.map(|platform| h1(&ARCHIVES.zip(platform)));
    both.sort();
    both
}

#[test]
fn terraform_installs_and_plans_from_a_folder_of_archives() {
    let emulator = Emulator::start_on_thread(Options::default());
    for mut workspace in Workspace::each() {
        let folder = workspace.path("mirror");
        mirror(&folder);
        workspace.install_from(&format!("filesystem_mirror {{ path = {folder:?} }}"));
        succeeded(workspace.run(&["init", "-no-color"]));
        assert_eq!(workspace.locked(), [h1(&ARCHIVES.zip(own_platform()))]);

        workspace.environment = vec![
            ("KMS_HOST", emulator.url()),
            ("KMS_UNIVERSAL_AUTH_CLIENT_ID", CLIENT_ID.into()),
            ("KMS_UNIVERSAL_AUTH_CLIENT_SECRET", CLIENT_SECRET.into()),
        ];
        let planned = workspace.run(&["plan", "-no-color", "-detailed-exitcode"]);
        assert_eq!(planned.status.code(), Some(2), "{}", printed(&planned));
        assert!(
            printed(&planned).contains("Plan: 1 to add, 0 to change, 0 to destroy."),
            "{}",
            printed(&planned)
        );

        // For colleagues and CI on other machines.
        workspace.forget();
        let from = format!("-fs-mirror={}", folder.display());
        let platforms = PLATFORMS.map(|platform| format!("-platform={platform}"));
        succeeded(workspace.run(&["providers", "lock", "-no-color", &from, &platforms[0], &platforms[1]]));
        assert_eq!(workspace.locked(), both_locked());
        succeeded(workspace.run(&["init", "-no-color", "-lockfile=readonly"]));

        // Another archive under the name of the one that is locked. A lock doesn't say which hash is for which platform, so
        // this one has to differ from both.
        fs::remove_dir_all(workspace.path(".terraform")).unwrap();
        for host in HOSTS {
            let archives = folder.join(host).join("hanzoai/kms");
            pack(&stand_in(workspace.folder.path(), "changed"), own_platform(), &archives);
        }
        let refused = workspace.run(&["init", "-no-color"]);
        assert!(!refused.status.success() && printed(&refused).contains("checksum"), "{}", printed(&refused));
    }
}

#[test]
#[ignore = "only archives of make dist have a static executable: KMS_TEST_DIST=dist cargo test --test terraform dist:: -- --ignored"]
fn the_executable_plans_in_a_root_without_a_c_library() {
    let emulator = Emulator::start_on_thread(Options::default());
    for mut workspace in Workspace::each() {
        // Besides the executable there is a folder for its socket.
        let inside = workspace.path("root");
        fs::create_dir_all(inside.join("tmp")).unwrap();
        extract(&ARCHIVES.zip(own_platform()), &inside.join("provider"));
        let mut command = if nix::unistd::geteuid().is_root() {
            Command::new("chroot")
        } else {
            let mut command = Command::new("unshare");
            command.args(["--map-root-user", "chroot"]);
            command
        };
        command.arg(&inside).args(["/provider", "--debug"]).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).envs(login(&emulator));
        let mut provider = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let told =
            BufReader::new(provider.stdout.take().unwrap()).lines().map_while(Result::ok).find_map(|line| {
                Some(line.split_once("TF_REATTACH_PROVIDERS=")?.1.trim_matches('\'').to_owned())
            });
        let told = told.expect("the provider starts and says where it is");
        let outside = told.replace("\"/tmp/", &format!("\"{}/tmp/", inside.display()));
        assert_ne!(told, outside, "the socket is elsewhere");

        workspace.install_from("direct {}");
        workspace.environment = login(&emulator).to_vec();
        workspace.environment.push(("TF_REATTACH_PROVIDERS", outside));
        workspace.plans_one();
        provider.kill().unwrap();
        provider.wait().unwrap();
    }
}

#[test]
fn terraform_installs_from_a_server_with_archives() {
    let served = tempfile::tempdir().unwrap();
    mirror(served.path());
    // As `SHA256SUMS` has it, for the one package; h1 would do, too.
    let sum = |platform: &str| hex(&fs::read(ARCHIVES.zip(platform)).unwrap());
    let describe = |sum: &dyn Fn(&str) -> String| {
        let archives: serde_json::Map<String, Value> = PLATFORMS
            .iter()
            .map(|platform| {
                let url = format!("{STEM}_{platform}.zip");
                (platform.to_string(), json!({ "url": url, "hashes": [format!("zh:{}", sum(platform))] }))
            })
            .collect();
        for host in HOSTS {
            let folder = served.path().join(host).join("hanzoai/kms");
            fs::write(folder.join("index.json"), json!({ "versions": { VERSION: {} } }).to_string()).unwrap();
            let version = json!({ "archives": archives }).to_string();
            fs::write(folder.join(format!("{VERSION}.json")), version).unwrap();
        }
    };
    let server = FileServer::start(served.path());

    for mut workspace in Workspace::each() {
        describe(&sum);
        workspace.install_from(&format!("network_mirror {{ url = {:?} }}", server.url));
        let stranger = workspace.run(&["init", "-no-color"]);
        assert!(!stranger.status.success(), "a server is believed whose certificate nobody signed");

        fs::write(workspace.path("ca.pem"), &server.certificate).unwrap();
        workspace.environment = vec![("SSL_CERT_FILE", workspace.path("ca.pem").to_str().unwrap().into())];
        succeeded(workspace.run(&["init", "-no-color"]));
        // OpenTofu also locks the sums that the server tells.
        let told = |platforms: &[&str]| {
            let told = platforms.iter().filter(|_| workspace.is_tofu);
            let mut told: Vec<String> = told.map(|platform| format!("zh:{}", sum(platform))).collect();
            told.sort();
            told
        };
        let own = [h1(&ARCHIVES.zip(own_platform()))];
        assert_eq!(workspace.locked(), [own.to_vec(), told(&[own_platform()])].concat());
        succeeded(workspace.run(&["validate", "-no-color"]));

        workspace.forget();
        let from = format!("-net-mirror={}", server.url);
        let platforms = PLATFORMS.map(|platform| format!("-platform={platform}"));
        succeeded(workspace.run(&["providers", "lock", "-no-color", &from, &platforms[0], &platforms[1]]));
        assert_eq!(workspace.locked(), [both_locked().to_vec(), told(&PLATFORMS)].concat());

        // An archive that is not the one whose sum the server tells.
        fs::remove_file(workspace.path(".terraform.lock.hcl")).unwrap();
        describe(&|_| hex(b"another archive"));
        let refused = workspace.run(&["init", "-no-color"]);
        assert!(!refused.status.success() && printed(&refused).contains("checksum"), "{}", printed(&refused));
    }
}

/// Serves the files of a folder over HTTPS.
struct FileServer {
    url: String,
    certificate: String,
}

impl FileServer {
    fn start(folder: &Path) -> Self {
        let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![signed.cert.der().clone()], key)
            .unwrap();
        let (config, folder) = (Arc::new(config), folder.to_owned());
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("https://localhost:{}/", listener.local_addr().unwrap().port());
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (config, folder) = (Arc::clone(&config), folder.clone());
                thread::spawn(move || answer(stream?, config, &folder));
            }
        });
        Self { url, certificate: signed.cert.pem() }
    }
}

/// Answers one request, and closes the connection.
fn answer(stream: TcpStream, config: Arc<ServerConfig>, folder: &Path) -> std::io::Result<()> {
    let connection = ServerConnection::new(config).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(StreamOwned::new(connection, stream));
    let mut request = String::new();
    stream.read_line(&mut request)?;
    let mut header = String::new();
    while stream.read_line(&mut header)? > 2 {
        header.clear();
    }
    let path = request.split(' ').nth(1).unwrap_or("/").trim_start_matches('/');
    let (status, body) = match fs::read(folder.join(path)) {
        Ok(body) => ("200 OK", body),
        Err(_) => ("404 Not Found", Vec::new()),
    };
    let kind = if path.ends_with(".json") { "application/json" } else { "application/zip" };
    let stream = stream.get_mut();
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
    )?;
    stream.write_all(&body)?;
    stream.conn.send_close_notify();
    stream.flush()
}
