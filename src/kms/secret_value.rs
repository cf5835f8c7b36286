//! Reads one secret. The route isn't under `/api/v1` and has its own rate limit.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer};

use super::{client::Operation, error::Error, messages, request::Request, route_family::Either};
use crate::secret::Secret;

/// The secret to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretQuery {
    /// The secret's key.
    pub name: String,
    /// The project's ID.
    pub project_id: String,
    /// The environment's slug.
    pub environment: String,
    /// The folder; `/` is the root.
    pub path: String,
    /// The version; by default, the current one. A version is found by the key that the secret had at that
    /// time.
    pub version: Option<i64>,
    /// Whether references to other secrets in the value are replaced by the values of those.
    pub expand_references: bool,
    /// Whether to look for the secret in the folders that the folder imports, too. A version is not looked
    /// for there, because the KMS would return the current version of an imported secret.
    pub include_imports: bool,
}

/// A secret with its metadata.
#[derive(Debug, Clone)]
pub struct SecretValue {
    /// The secret's ID.
    pub id: String,
    /// The secret's key.
    pub name: String,
    /// The value; `None` if the identity may not see it.
    pub value: Option<Secret>,
    /// The references that the KMS left in the value although it was asked to replace them, such as
    /// `${prod.dbt.TOKEN}`, each once.
    pub unresolved: Vec<String>,
    /// The version, which counts the secret's changes.
    pub version: i64,
    /// The comment; empty if there is none.
    pub comment: Option<String>,
    /// The metadata entries, in the server's order.
    pub metadata: Vec<(String, String)>,
}

#[derive(Deserialize)]
struct SecretResponse {
    secret: ShownSecret,
}

/// A secret as the server returns it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ShownSecret {
    #[serde(default)]
    id: String,
    secret_key: String,
    secret_value: Secret,
    /// Whether the value is masked. Older servers don't return this field and don't mask.
    #[serde(default)]
    secret_value_hidden: bool,
    #[serde(default)]
    version: i64,
    #[serde(default)]
    secret_comment: Option<String>,
    #[serde(default, deserialize_with = "pairs")]
    secret_metadata: Vec<(String, String)>,
}

impl From<ShownSecret> for SecretValue {
    fn from(shown: ShownSecret) -> Self {
        Self {
            id: shown.id,
            name: shown.secret_key,
            value: (!shown.secret_value_hidden).then_some(shown.secret_value),
            unresolved: Vec::new(),
            version: shown.version,
            comment: shown.secret_comment,
            metadata: shown.secret_metadata,
        }
    }
}

#[derive(Deserialize)]
struct Pair {
    key: String,
    #[serde(default)]
    value: Option<String>,
}

fn pairs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, String)>, D::Error> {
    let pairs = Option::<Vec<Pair>>::deserialize(deserializer)?.unwrap_or_default();
    Ok(pairs.into_iter().map(|pair| (pair.key, pair.value.unwrap_or_default())).collect())
}

impl SecretQuery {
    /// The two routes differ in the parameter for the project. The older one expands and imports only on
    /// request, the newer one also by default, and its parameter for imports was named like that of the older
    /// one at first. Servers ignore parameters that they don't know.
    fn requests(&self) -> Result<Either, Error> {
        let version = self.version.map(|version| version.to_string());
        let imports = flag(self.include_imports && self.version.is_none());
        let request = |route, project| {
            let request = Request::get(route, &[&self.name])?
                .with_query(project, Some(&self.project_id))
                .with_query("environment", Some(&self.environment))
                .with_query("secretPath", Some(&self.path))
                .with_query("type", Some("shared"))
                .with_query("version", version.as_deref())
                .with_query("expandSecretReferences", Some(flag(self.expand_references)))
                .with_query("include_imports", Some(imports));
            Ok::<_, Error>(request)
        };
        Ok(Either {
            newer: request("/api/v4/secrets/:name", "projectId")?.with_query("includeImports", Some(imports)),
            older: request("/api/v3/secrets/raw/:name", "workspaceId")?,
        })
    }
}

fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

/// The references in a secret's value, by the KMS's own rules: `${NAME}` for a secret of the same folder,
/// `${environment.folder.NAME}` for one of another folder, and `${@project.environment.NAME}` for one of
/// another project. Anything else in braces is plain text.
fn references(value: &str) -> Vec<String> {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.@".contains(byte);
    let mut known = HashSet::new();
    let references = value.match_indices("${").filter_map(|(start, _)| {
        let inner = &value[start + 2..];
        let length = inner.bytes().take_while(is_part).count();
        (length > 0 && inner[length..].starts_with('}')).then(|| &value[start..start + length + 3])
    });
    references.filter(|reference| known.insert(*reference)).map(str::to_owned).collect()
}

impl Operation {
    /// Reads one secret.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](super::ApiErrorKind::NotFound) if there is none, with
    /// [`UnknownFolder`](super::ApiErrorKind::UnknownFolder) if there is no such folder or environment, with
    /// [`ValueHidden`](super::ApiErrorKind::ValueHidden) if the identity may not see the value, and with
    /// [`ReferenceDenied`](super::ApiErrorKind::ReferenceDenied) if it may not see that of a secret to which
    /// the value refers; and all other errors of reads. A reference that the KMS can't resolve is no error
    /// here: see [`SecretValue::unresolved`].
    pub async fn get_secret(&self, query: &SecretQuery) -> Result<SecretValue, Error> {
        let requests = query.requests()?;
        let response = self.send_either::<SecretResponse>(self.client.secret_routes(), &requests).await?;
        let mut secret = SecretValue::from(response.secret);
        if let Some(value) = &secret.value {
            self.client.transport().redactor.add_value(value);
            if query.expand_references {
                secret.unresolved = references(value.expose());
            }
        }
        if !secret.name.eq_ignore_ascii_case(&query.name) {
            return Err(requests.newer.unreadable(messages::describes_another("secret")));
        }
        if query.version.is_some_and(|version| version != secret.version) {
            return Err(requests.newer.unreadable(messages::describes_another("version of the secret")));
        }
        Ok(secret)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::kms::{
        ApiErrorKind, Reason,
        test_server::{Reply, Seen, Server},
    };

    const NEWER: &str = "/api/v4/secrets/DBT%2FTOKEN?projectId=project-1&environment=prod\
        &secretPath=%2Fdata+team&type=shared&expandSecretReferences=true&include_imports=true\
        &includeImports=true";
    const OLDER: &str = "/api/v3/secrets/raw/DBT%2FTOKEN?workspaceId=project-1&environment=prod\
        &secretPath=%2Fdata+team&type=shared&expandSecretReferences=true&include_imports=true";

    fn query() -> SecretQuery {
        SecretQuery {
            name: "DBT/TOKEN".to_owned(),
            project_id: "project-1".to_owned(),
            environment: "prod".to_owned(),
            path: "/data team".to_owned(),
            version: None,
            expand_references: true,
            include_imports: true,
        }
    }

    /// A secret, with some of its fields set to other values.
    fn secret(fields: Value) -> Reply {
        let mut secret = json!({"id": "s1", "version": 3, "secretKey": "DBT/TOKEN", "secretValue": "dbtu_1",
            "secretComment": "", "secretMetadata": [{"key": "owner", "value": "data"}], "type": "shared",
            "secretValueHidden": false});
        secret.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        Reply::json(200, json!({"secret": secret}))
    }

    fn asked(server: &Server) -> Vec<String> {
        let seen = server.seen().into_iter().filter(|seen| seen.method == "GET");
        seen.map(|seen| seen.target.split('?').next().unwrap().replace("/DBT%2FTOKEN", "")).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_secret_is_read_and_never_shown() {
        let server = Server::start(|seen, _| {
            assert_eq!(seen.target, NEWER);
            secret(json!({}))
        })
        .await;
        let secret = server.operation().get_secret(&query()).await.unwrap();
        assert_eq!(secret.value.as_ref().unwrap().expose(), "dbtu_1");
        assert_eq!(secret.metadata, [("owner".to_owned(), "data".to_owned())]);
        assert!(!format!("{secret:?}").contains("dbtu_1"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pinned_version_is_asked_for_and_no_other_is_taken() {
        let server = Server::start(|seen, _| {
            // Imports have no versions: the KMS would return the current one of another folder.
            let expected =
                "&version=2&expandSecretReferences=true&include_imports=false&includeImports=false";
            assert!(seen.target.ends_with(expected), "{}", seen.target);
            secret(json!({"version": if seen.earlier == 0 { 2 } else { 3 }}))
        })
        .await;
        let pinned = SecretQuery { version: Some(2), ..query() };
        let operation = server.operation();
        assert_eq!(operation.get_secret(&pinned).await.unwrap().version, 2);
        let error = operation.get_secret(&pinned).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::Unreadable { .. })), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn both_routes_get_what_is_turned_off() {
        let server = Server::start(|seen, _| match seen.target.starts_with("/api/v4/") {
            true => Reply::no_route(),
            false => secret(json!({"secretValue": "${LITERAL}"})),
        })
        .await;
        let plain = SecretQuery { expand_references: false, include_imports: false, ..query() };
        let secret = server.operation().get_secret(&plain).await.unwrap();
        assert_eq!(secret.value.unwrap().expose(), "${LITERAL}");
        assert!(secret.unresolved.is_empty(), "the caller wants the text as it is");
        let asked = server.seen().into_iter().filter(|seen| seen.method == "GET").map(|seen| seen.target);
        let asked: Vec<_> =
            asked.map(|target| target.split("&type=shared").nth(1).unwrap().to_owned()).collect();
        let older = "&expandSecretReferences=false&include_imports=false";
        assert_eq!(asked, [&format!("{older}&includeImports=false"), older]);
    }

    #[tokio::test(start_paused = true)]
    async fn references_that_the_server_left_are_told() {
        let left = "x${prod.dbt.TOKEN}y${A}${A}";
        let server = Server::start(move |_, _| secret(json!({"secretValue": left}))).await;
        let secret = server.operation().get_secret(&query()).await.unwrap();
        assert_eq!(secret.unresolved, ["${prod.dbt.TOKEN}", "${A}"]);
    }

    #[test]
    fn a_reference_is_what_the_server_takes_for_one() {
        for (text, expected) in [
            ("${NAME}", &["${NAME}"][..]),
            ("${prod.a-b.c_d.NAME}", &["${prod.a-b.c_d.NAME}"]),
            ("${@shop.prod.NAME}", &["${@shop.prod.NAME}"]),
            ("${A}${B}-${A}", &["${A}", "${B}"]),
            ("$${A}", &["${A}"]),
            ("${${A}", &["${A}"]),
            ("${a${B}}", &["${B}"]),
            ("é${A}é", &["${A}"]),
            ("${.}", &["${.}"]),
            ("", &[]),
            ("$5", &[]),
            ("$A", &[]),
            ("{A}", &[]),
            ("${}", &[]),
            ("${", &[]),
            ("${A", &[]),
            ("$ {A}", &[]),
            ("${A B}", &[]),
            ("${ A }", &[]),
            ("${A:-b}", &[]),
            ("${A/b}", &[]),
            ("${\u{c9}}", &[]),
            ("%{A}", &[]),
        ] {
            assert_eq!(references(text), expected, "{text}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_mask_is_no_value() {
        let mask = "<hidden-by-kms>";
        let server =
            Server::start(move |_, _| secret(json!({"secretValue": mask, "secretValueHidden": true}))).await;
        let secret = server.operation().get_secret(&query()).await.unwrap();
        assert_eq!(secret.value, None);
        assert!(!format!("{secret:?}").contains(mask));
    }

    #[tokio::test(start_paused = true)]
    async fn another_secret_than_asked_for_is_refused() {
        let server =
            Server::start(|_, _| secret(json!({"secretKey": "OTHER", "secretMetadata": null}))).await;
        let error = server.operation().get_secret(&query()).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::Unreadable { .. })), "{error:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn the_older_route_serves_where_there_is_no_newer_one_and_that_is_found_out_once() {
        let server = Server::start(|seen, _| match seen.target.as_str() {
            NEWER => Reply::no_route(),
            OLDER => secret(json!({})).after(std::time::Duration::from_millis(100)),
            other => panic!("{other}"),
        })
        .await;
        let client = server.client();
        let reads = (0..5).map(|_| {
            let client = client.clone();
            tokio::spawn(async move { client.operation(Default::default()).get_secret(&query()).await })
        });
        for read in reads.collect::<Vec<_>>() {
            assert_eq!(read.await.unwrap().unwrap().value.unwrap().expose(), "dbtu_1");
        }
        let (newer, older) = ("/api/v4/secrets", "/api/v3/secrets/raw");
        assert_eq!(asked(&server), [newer, older, older, older, older, older]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_found_out_is_revised_when_the_server_changes() {
        let has_newer = |seen: &Seen| seen.earlier == 1;
        let server = Server::start(move |seen, _| match seen.target.as_str() {
            NEWER if has_newer(seen) => secret(json!({})),
            // The older route exists for the first read only.
            OLDER if seen.earlier == 0 => secret(json!({})),
            _ => Reply::no_route(),
        })
        .await;
        let operation = server.operation();
        for _ in 0..2 {
            operation.get_secret(&query()).await.unwrap();
        }
        let error = operation.get_secret(&query()).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::NoRoute)), "{error:?}");
        let (newer, older) = ("/api/v4/secrets", "/api/v3/secrets/raw");
        assert_eq!(asked(&server), [newer, older, older, newer, newer, older]);
    }

    /// Only a response of the KMS's router makes a read use the older route.
    #[tokio::test(start_paused = true)]
    async fn a_secret_that_is_missing_is_not_looked_for_over_the_other_route() {
        let missing = || Reply::error(404, "NotFound", "Secret with name 'DBT/TOKEN' not found");
        let no_folder = || {
            let message = "Folder with path '/data team' in environment with slug 'prod' not found";
            Reply::error(404, "GetSecretByName", message)
        };
        let hidden =
            || Reply::error(403, "ForbiddenReadSecretError", "You do not have permission to view it");
        let cases: [(fn() -> Reply, _); 4] = [
            (missing, Some(ApiErrorKind::NotFound)),
            (no_folder, Some(ApiErrorKind::UnknownFolder)),
            (hidden, Some(ApiErrorKind::ValueHidden)),
            (|| Reply::html(404), None),
        ];
        for (reply, kind) in cases {
            let server = Server::start(move |_, _| reply()).await;
            let error = server.operation().get_secret(&query()).await.unwrap_err();
            assert_eq!(error.api_kind(), kind, "{error:?}");
            assert!(asked(&server).iter().all(|route| route == "/api/v4/secrets"), "{:?}", asked(&server));
        }
    }
}
