//! Secrets that refer to others, and secrets that a folder has by an import.
//!
//! References: Hanzo's server calls the functions of I services/secret-v2-bridge/secret-reference-fns.ts with
//! the arguments of 58d2a53e, so those are its rules here; Infisical's are those of 032da036. Imports: I
//! services/secret-import/secret-import-fns.ts @ 0384872a and H @ b3714c0c (`fnSecretsV2FromImports`). Both
//! are used by `getSecretByName` in I services/secret-v2-bridge/secret-v2-bridge-service.ts (id 1252749514 of
//! the stored text) and H @ 17135591.

use kms_emulator::{
    CLIENT_ID, CLIENT_SECRET, Emulator, IDENTITY_ID, OTHER_PROJECT_ID, Options, PROJECT_ID, Server,
    StoredSecret,
    identities::{Action, Identity, Scope},
    projects::Folder,
};
use serde_json::json;

use crate::client::{Answer, Client};

const SERVERS: [Server; 2] = [Server::Hanzo, Server::Infisical];

/// An emulator with secrets, each with its environment, path and name, and its value.
async fn with_secrets(server: Server, denied: &[(Action, Scope)], secrets: &[(&str, &str)]) -> Emulator {
    let identity = Identity::new(IDENTITY_ID, CLIENT_ID, CLIENT_SECRET);
    let identity =
        denied.iter().fold(identity, |identity, (action, scope)| identity.without(*action, scope.clone()));
    let options = Options { server, identities: vec![identity], ..Options::default() }.without_rate_limits();
    let emulator = Emulator::start(options).await;
    for (place, value) in secrets {
        let (environment, rest) = place.split_once('/').unwrap();
        let (path, name) =
            rest.rsplit_once('/').map_or(("/".into(), rest), |(path, name)| (format!("/{path}"), name));
        emulator.state().secrets.push(StoredSecret {
            workspace_id: PROJECT_ID.into(),
            environment: environment.into(),
            path,
            name: name.into(),
            value: (*value).into(),
            metadata: Vec::new(),
        });
    }
    emulator
}

fn import(emulator: &Emulator, into: &str, from: &str) {
    let folder = |place: &str| {
        let (environment, path) = place.split_once('/').unwrap();
        Folder::new(PROJECT_ID, environment, &format!("/{path}"))
    };
    emulator.state().import_folder(folder(into), folder(from));
}

/// Reads a secret of the root folder of `prod` over both routes, with both parameters set, which must give
/// the same.
async fn read(emulator: &Emulator, name: &str) -> Answer {
    let client = Client::new(emulator);
    let flags = "&expandSecretReferences=true&includeImports=true&include_imports=true";
    let older = format!("/api/v3/secrets/raw/{name}?workspaceId={PROJECT_ID}&environment=prod{flags}");
    let newer = format!("/api/v4/secrets/{name}?projectId={PROJECT_ID}&environment=prod{flags}");
    let (older, newer) = (client.get(&older).await, client.get(&newer).await);
    assert_eq!(older.status, newer.status);
    assert_eq!(older.refusal(), newer.refusal());
    assert_eq!(older.body["secret"]["secretValue"], newer.body["secret"]["secretValue"]);
    newer
}

fn value(answer: &Answer) -> &str {
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.body["secret"]["secretValue"].as_str().unwrap()
}

/// Each secret that is read has the value that is expected of each server.
async fn expands(secrets: &[(&str, &str)], expected: &[(&str, [&str; 2])]) {
    for (at, server) in SERVERS.into_iter().enumerate() {
        let emulator = with_secrets(server, &[], secrets).await;
        for (name, values) in expected {
            assert_eq!(value(&read(&emulator, name).await), values[at], "{name} at {server:?}");
        }
    }
}

fn same(value: &str) -> [&str; 2] {
    [value, value]
}

// H server/routes/v3/deprecated-secret-router.ts @ 10f68057. The newer route began as a copy of it (I
// server/routes/v4/secret-router.ts @ 03e75b25), and got another name and other defaults later (H @
// 25fbc161).
#[tokio::test]
async fn the_routes_differ_in_the_names_and_the_defaults_of_the_parameters() {
    for server in SERVERS {
        let secrets = [("prod/REF", "${TOKEN}"), ("prod/TOKEN", "text"), ("dev/IMPORTED", "text")];
        let emulator = with_secrets(server, &[], &secrets).await;
        import(&emulator, "prod/", "dev/");
        let client = Client::new(&emulator);
        let older = format!("/api/v3/secrets/raw/NAME?workspaceId={PROJECT_ID}&environment=prod");
        let newer = format!("/api/v4/secrets/NAME?projectId={PROJECT_ID}&environment=prod");
        let newest = server == Server::Hanzo;
        for (route, by_default, imports) in [
            (older, false, "include_imports"),
            (newer, newest, if newest { "includeImports" } else { "include_imports" }),
        ] {
            let unknown = if imports == "includeImports" { "include_imports" } else { "includeImports" };
            let get =
                async |name: &str, query: &str| client.get(&(route.replace("NAME", name) + query)).await;
            for (query, expands) in [
                ("", by_default),
                ("&expandSecretReferences=true", true),
                ("&expandSecretReferences=false", false),
            ] {
                let expected = if expands { "text" } else { "${TOKEN}" };
                assert_eq!(value(&get("REF", query).await), expected, "{server:?} {route}{query}");
            }
            for (query, included) in [
                (String::new(), by_default),
                (format!("&{imports}=true"), true),
                (format!("&{imports}=false"), false),
                (format!("&{unknown}={}", !by_default), by_default),
            ] {
                let status = if included { 200 } else { 404 };
                assert_eq!(get("IMPORTED", &query).await.status, status, "{server:?} {route}{query}");
            }
            assert_eq!(
                get("REF", &format!("&expandSecretReferences=1&{imports}=yes")).await.issues(),
                [
                    "expandSecretReferences: Invalid enum value. Expected 'true' | 'false', received '1'",
                    &format!("{imports}: Invalid enum value. Expected 'true' | 'false', received 'yes'"),
                ]
            );
            let hidden = get("REF", "&expandSecretReferences=true&viewSecretValue=false").await;
            assert_eq!(value(&hidden), "<hidden-by-infisical>");
        }
    }
}

#[tokio::test]
async fn a_reference_is_to_the_same_folder_or_names_environment_and_folders() {
    let secrets = [
        ("prod/TOKEN", "text"),
        ("prod/a/b/DEEP", "deep"),
        ("dev/OTHER", "other"),
        ("prod/a/LOCAL", "local"),
        ("prod/a/NEXT", "${LOCAL}"),
        ("prod/SAME", "<${TOKEN}>"),
        ("prod/FOLDERS", "${prod.a.b.DEEP}"),
        ("prod/ENVIRONMENT", "${dev.OTHER}"),
        ("prod/TWICE", "${TOKEN}${dev.OTHER}${TOKEN}"),
        ("prod/NESTED", "${prod.a.NEXT}"),
        ("prod/EMPTY_PARTS", "${prod..a..LOCAL}"),
        ("prod/DOLLARS", "$1 $& ${TOKEN}"),
    ];
    let expected = [
        ("SAME", same("<text>")),
        ("FOLDERS", same("deep")),
        ("ENVIRONMENT", same("other")),
        ("TWICE", same("textothertext")),
        // In the folder of the secret that has it, not of the one that is read.
        ("NESTED", same("local")),
        ("EMPTY_PARTS", same("local")),
        ("DOLLARS", same("$1 $& text")),
    ];
    expands(&secrets, &expected).await;
}

#[tokio::test]
async fn what_is_no_reference_or_leads_nowhere_stays_as_it_is() {
    for text in [
        "$5",
        "${}",
        "$TOKEN",
        "{TOKEN}",
        "${TOKEN",
        "${A B}",
        "${TOKEN:-x}",
        "${TÖKEN}",
        "${ TOKEN }",
        "$${",
        "${/TOKEN}",
        "${NONE}",
        "${qa.TOKEN}",
        "${dev.TOKEN}",
        "${prod.none.TOKEN}",
        "${prod.}",
        "${.}",
        "${.TOKEN}",
        "${-}",
        "${@platform.prod.TOKEN}",
        "${someone@host}",
    ] {
        expands(&[("prod/TOKEN", "text"), ("prod/REF", text)], &[("REF", same(text))]).await;
    }
    let other = StoredSecret {
        workspace_id: OTHER_PROJECT_ID.into(),
        environment: "dev".into(),
        path: "/".into(),
        name: "TOKEN".into(),
        value: "of another project".into(),
        metadata: Vec::new(),
    };
    let emulator = with_secrets(Server::Hanzo, &[], &[("prod/REF", "${dev.TOKEN}")]).await;
    emulator.state().secrets.push(other);
    assert_eq!(value(&read(&emulator, "REF").await), "${dev.TOKEN}");
}

#[tokio::test]
async fn references_in_a_circle_and_chains_that_are_too_long_are_left() {
    let chain: Vec<_> = (0..14).map(|at| (format!("prod/C{at}"), format!("${{C{}}}", at + 1))).collect();
    let mut secrets: Vec<(&str, &str)> = chain.iter().map(|(place, value)| (&**place, &**value)).collect();
    secrets.extend([("prod/C14", "end"), ("prod/SELF", "${SELF}"), ("prod/A", "${B}"), ("prod/B", "${A}")]);
    let expected = [
        ("SELF", same("${SELF}")),
        ("A", same("${B}")),
        // The newest server looks at the whole value again, and so gets further.
        ("C0", ["${C12}", "end"]),
        ("C4", same("end")),
    ];
    expands(&secrets, &expected).await;
}

#[tokio::test]
async fn the_servers_differ_over_empty_secrets_and_composed_references() {
    let secrets = [
        ("prod/EMPTY", ""),
        ("prod/VENDOR", "datadog"),
        ("prod/datadog/KEY", "text"),
        ("prod/TO_EMPTY", "<${EMPTY}>"),
        ("prod/FORMED", "${prod.${VENDOR}.KEY}"),
    ];
    let expected = [("TO_EMPTY", ["<${EMPTY}>", "<>"]), ("FORMED", ["${prod.datadog.KEY}", "text"])];
    expands(&secrets, &expected).await;
}

#[tokio::test]
async fn a_denied_reference_is_a_403_that_names_both_secrets() {
    for server in SERVERS {
        let secrets = [
            ("prod/REF", "${prod.closed.TOKEN}"),
            ("prod/FAR", "${REF}"),
            ("prod/NONE", "${prod.closed.NONE}"),
            ("prod/closed/TOKEN", "text"),
            ("prod/PLAIN", "text"),
        ];
        let denied = [(Action::ReadSecret, Scope::Path("/closed".into()))];
        let emulator = with_secrets(server, &denied, &secrets).await;
        for (name, target) in [("REF", "TOKEN"), ("FAR", "TOKEN"), ("NONE", "NONE")] {
            let message = format!(
                "You do not have permission to read secret '{target}' in environment 'prod' at path \
                 '/closed', which is referenced by secret '{name}' in environment 'prod' at path '/'."
            );
            assert_eq!(
                read(&emulator, name).await.refusal(),
                (403, "ForbiddenError", &*message),
                "{server:?}"
            );
        }
        assert_eq!(value(&read(&emulator, "PLAIN").await), "text");

        // Of the secret itself: the newest server asks before it looks at references.
        let denied = [(Action::ReadSecret, Scope::Path("/".into()))];
        let emulator = with_secrets(server, &denied, &secrets).await;
        let before = "You do not have permission to read secret 'REF' in environment 'prod' at path '/'.";
        let after = "You do not have permission to view secret value on secret with name 'REF'";
        let expected = match server {
            Server::Hanzo => (403, "ForbiddenReadSecretError", after),
            Server::Infisical => (403, "ForbiddenError", before),
        };
        assert_eq!(read(&emulator, "REF").await.refusal(), expected);
    }
}

#[tokio::test]
async fn an_older_version_is_expanded_with_the_current_values() {
    for server in SERVERS {
        let emulator = with_secrets(server, &[], &[("prod/TOKEN", "now")]).await;
        let folder = Folder::new(PROJECT_ID, "prod", "/");
        emulator.state().make_secret(&folder, "REF", "<${TOKEN}>", "rotation-1");
        let change = |version: &mut kms_emulator::secrets::SecretVersion| version.value = "later".into();
        emulator.state().write_secret(&folder, "REF", change).unwrap();
        assert_eq!(value(&read(&emulator, "REF").await), "later");
        let query = format!("projectId={PROJECT_ID}&environment=prod&expandSecretReferences=true&version=1");
        let older = Client::new(&emulator).get(&format!("/api/v4/secrets/REF?{query}")).await;
        assert_eq!(value(&older), "<now>");
    }
}

#[tokio::test]
async fn own_secrets_come_first_and_then_the_latest_import() {
    for server in SERVERS {
        let secrets = [
            ("prod/OWN", "own"),
            ("dev/OWN", "dev"),
            ("dev/BOTH", "dev"),
            ("staging/BOTH", "staging"),
            ("dev/FIRST", "dev"),
            ("prod/tools/FIRST", "tools"),
            ("prod/tools/DEEP", "tools"),
            ("prod/more/DEEP", "more"),
            ("prod/deepest/DEEPEST", "deepest"),
        ];
        let emulator = with_secrets(server, &[], &secrets).await;
        // The folder that isn't there has nothing.
        for (into, from) in [
            ("prod/", "dev/"),
            ("prod/", "prod/none"),
            ("prod/", "staging/"),
            ("dev/", "prod/tools"),
            ("dev/", "prod/more"),
            ("prod/more", "prod/deepest"),
            // In a circle.
            ("prod/tools", "dev/"),
        ] {
            import(&emulator, into, from);
        }
        for (name, expected, environment, path) in
            [("OWN", "own", "prod", "/"), ("BOTH", "staging", "staging", "/"), ("FIRST", "dev", "dev", "/")]
        {
            let answer = read(&emulator, name).await;
            assert_eq!(value(&answer), expected, "{name}");
            let secret = &answer.body["secret"];
            assert_eq!((&secret["secretKey"], &secret["workspace"]), (&json!(name), &json!(PROJECT_ID)));
            assert_eq!((&secret["environment"], &secret["secretPath"]), (&json!(environment), &json!(path)));
        }
        // Of an import's own imports the first one counts, and the place shown is that of the import.
        let deep = read(&emulator, "DEEP").await;
        assert_eq!((value(&deep), &deep.body["secret"]["environment"]), ("tools", &json!("dev")));
        // Imports of those are looked for, but get lost on the way.
        let message = "Secret with name 'DEEPEST' not found";
        assert_eq!(read(&emulator, "DEEPEST").await.refusal(), (404, "NotFound", message));
    }
}

#[tokio::test]
async fn imports_show_what_the_identity_may_see() {
    for server in SERVERS {
        let secrets =
            [("dev/TOKEN", "text"), ("dev/REF", "${dev.closed.TOKEN}"), ("dev/closed/TOKEN", "text")];
        let dev = || Scope::Environment("dev".into());
        let emulator = with_secrets(server, &[(Action::DescribeSecret, dev())], &secrets).await;
        import(&emulator, "prod/", "dev/");
        let message = "Secret with name 'TOKEN' not found";
        assert_eq!(read(&emulator, "TOKEN").await.refusal(), (404, "NotFound", message), "{server:?}");

        let emulator = with_secrets(server, &[(Action::ReadSecret, dev())], &secrets).await;
        import(&emulator, "prod/", "dev/");
        let message = "You do not have permission to view secret import value on secret with name 'TOKEN'";
        assert_eq!(read(&emulator, "TOKEN").await.refusal(), (403, "ForbiddenReadSecretError", message));

        // A reference in an imported secret that may not be followed is no error.
        let denied = [(Action::ReadSecret, Scope::Path("/closed".into()))];
        let emulator = with_secrets(server, &denied, &secrets).await;
        import(&emulator, "prod/", "dev/");
        assert_eq!(value(&read(&emulator, "REF").await), "${dev.closed.TOKEN}");
        assert_eq!(value(&read(&emulator, "TOKEN").await), "text");
    }
}

// References don't see imports: `expandSecretReferencesFactory` gets the secrets of folders as they are
// stored.
#[tokio::test]
async fn references_in_imported_secrets_are_of_the_imported_folder() {
    for server in SERVERS {
        let secrets = [
            ("dev/REF", "${LOCAL}"),
            ("dev/LOCAL", "dev"),
            ("prod/LOCAL", "prod"),
            ("prod/TO_IMPORTED", "${ONLY_DEV}"),
            ("dev/ONLY_DEV", "dev"),
        ];
        let emulator = with_secrets(server, &[], &secrets).await;
        import(&emulator, "prod/", "dev/");
        assert_eq!(value(&read(&emulator, "REF").await), "dev");
        assert_eq!(value(&read(&emulator, "TO_IMPORTED").await), "${ONLY_DEV}");
    }
}

// `getSecretByName`: imports are looked for whenever the folder has no such version, whatever the version.
#[tokio::test]
async fn an_imported_secret_is_shown_whatever_version_is_asked_for() {
    for server in SERVERS {
        let emulator = with_secrets(server, &[], &[("dev/TOKEN", "imported")]).await;
        import(&emulator, "prod/", "dev/");
        let folder = Folder::new(PROJECT_ID, "prod", "/");
        emulator.state().make_secret(&folder, "TOKEN", "own", "rotation-1");
        let client = Client::new(&emulator);
        let get = async |version: u32| {
            let query = format!("version={version}&include_imports=true&includeImports=true");
            let path = format!("/api/v4/secrets/TOKEN?projectId={PROJECT_ID}&environment=prod&{query}");
            let secret = client.get(&path).await.body["secret"].clone();
            (secret["secretValue"].as_str().unwrap().to_owned(), secret["version"].as_u64().unwrap())
        };
        assert_eq!(get(1).await, ("own".to_owned(), 1));
        assert_eq!(get(7).await, ("imported".to_owned(), 1));
    }
}
