//! Checks that the sources follow the architecture in `src/lib.rs`.

#![allow(clippy::unwrap_used, reason = "a panic is a failed test")]

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use regex::Regex;

/// Every source file in a folder of `src`, by its path in `src`.
fn sources(folder: &str) -> BTreeMap<String, String> {
    fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root.join(folder), &mut files);
    let name = |path: &Path| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    files.iter().map(|path| (name(path), fs::read_to_string(path).unwrap())).collect()
}

/// Whether a file is compiled for tests only.
fn is_test(file: &str) -> bool {
    file.contains("/tests/") || file.ends_with("/tests.rs") || file.ends_with("/test_server.rs")
}

/// A source file without what is compiled for tests only: single items, such as `mod tests;`, and blocks.
fn production(text: &str) -> String {
    let mut kept = String::new();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.trim() != "#[cfg(test)]" {
            kept += line;
            kept.push('\n');
            continue;
        }
        let indent = &line[..line.len() - line.trim_start().len()];
        // The item ends with a semicolon, or with a brace that is indented as its beginning.
        let is_end = |line: &str| {
            let is_own = line.starts_with(indent) && !line[indent.len()..].starts_with(' ');
            is_own && (line.ends_with(';') || line.trim() == "}" || line.ends_with("{}"))
        };
        lines.by_ref().find(|line| is_end(line));
    }
    kept
}

#[test]
fn only_tests_are_left_out_of_a_file() {
    let text = "mod a;\n#[cfg(test)]\nmod tests;\nmod b;\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn f() {}\n}\nmod c;\n";
    assert_eq!(production(text), "mod a;\nmod b;\nmod c;\n");
}

/// The lines of a folder that contain a forbidden word, in code or comments and in any case.
fn offenders(folder: &str, words: &[&str]) -> Vec<String> {
    let mut offenders = Vec::new();
    for (file, text) in sources(folder) {
        for (number, line) in text.lines().enumerate() {
            let line = line.to_lowercase();
            for word in words.iter().filter(|word| line.contains(&word.to_lowercase())) {
                offenders.push(format!("{file}:{}: {word}", number + 1));
            }
        }
    }
    offenders
}

/// The runtime could become a separate crate without changes: it uses no absolute paths, except for the macro and the
/// module that the macro refers to. Those two are in the root of any crate that has the runtime.
#[test]
fn the_runtime_knows_neither_the_kms_nor_its_own_place() {
    let named: Vec<_> = sources("plugin")
        .into_iter()
        .flat_map(|(file, text)| {
            let lines = text.lines().enumerate();
            let named = lines.filter(|(_, line)| {
                let rest = line.replace("$crate::model_macro::", "").replace("use crate::model;", "");
                ["crate::", "crate ::", "terraform_provider_kms"].iter().any(|name| rest.contains(name))
            });
            named.map(|(number, line)| format!("{file}:{}: {}", number + 1, line.trim())).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(named, Vec::<String>::new());
    assert_eq!(offenders("plugin", &["kms", "hanzo"]), Vec::<String>::new());
}

#[test]
fn the_client_knows_nothing_of_terraform() {
    assert_eq!(offenders("kms", &["crate::plugin", "crate::provider", "terraform"]), Vec::<String>::new());
}

#[test]
fn generated_messages_stay_at_the_boundary() {
    let boundary = ["plugin/proto.rs", "plugin/server/", "plugin/host_services.rs", "plugin/process.rs"];
    let elsewhere: Vec<_> =
        offenders("", &["proto::{", "proto::tfplugin6", "super::proto", "include_proto!"])
            .into_iter()
            .filter(|place| !place.starts_with("plugin/wire/"))
            .filter(|place| !boundary.iter().any(|file| place.starts_with(file)))
            .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

/// How a string in a response gets its content.
#[derive(Clone, Copy, PartialEq)]
enum Content {
    /// A text for users, which can contain what a server returned: it is on one line.
    Line,
    /// The same, with newlines.
    Lines,
    /// The provider declares it, so no server has a part in it.
    Declared,
    /// A name or a key, which Terraform compares.
    Name,
    /// It is never filled.
    Empty,
}

/// Every string field of the messages that the provider sends.
const STRINGS_SENT: &[(&str, Content)] = &[
    ("AttributePath.Step.attribute_name", Content::Name),
    ("AttributePath.Step.element_key_string", Content::Name),
    ("Diagnostic.summary", Content::Line),
    ("Diagnostic.detail", Content::Lines),
    ("FunctionError.text", Content::Lines),
    ("Schema.Block.description", Content::Declared),
    ("Schema.Block.deprecation_message", Content::Declared),
    ("Schema.Attribute.name", Content::Name),
    ("Schema.Attribute.description", Content::Declared),
    ("Schema.Attribute.deprecation_message", Content::Declared),
    ("Schema.NestedBlock.type_name", Content::Name),
    ("ResourceIdentitySchema.IdentityAttribute.name", Content::Name),
    ("ResourceIdentitySchema.IdentityAttribute.description", Content::Declared),
    ("Function.Parameter.name", Content::Name),
    ("Function.Parameter.description", Content::Declared),
    ("Function.summary", Content::Declared),
    ("Function.description", Content::Declared),
    ("Function.deprecation_message", Content::Declared),
    ("GetMetadata.TypeMetadata.type_name", Content::Name),
    ("GetMetadata.FunctionMetadata.name", Content::Name),
    ("GetProviderSchema.Response.resource_schemas", Content::Name),
    ("GetProviderSchema.Response.data_source_schemas", Content::Name),
    ("GetProviderSchema.Response.functions", Content::Name),
    ("GetProviderSchema.Response.ephemeral_resource_schemas", Content::Name),
    ("GetProviderSchema.Response.list_resource_schemas", Content::Name),
    ("GetProviderSchema.Response.action_schemas", Content::Name),
    ("GetResourceIdentitySchemas.Response.identity_schemas", Content::Name),
    ("StopProvider.Response.Error", Content::Empty),
    ("ImportResourceState.ImportedResource.type_name", Content::Name),
    ("ListResource.Event.display_name", Content::Line),
    ("GetFunctions.Response.functions", Content::Name),
    ("InvokeAction.Event.Progress.message", Content::Line),
];

/// The string fields of the protocol's messages, except for those that only Terraform sends.
fn strings_of_the_protocol() -> Vec<String> {
    let proto =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("proto/tfplugin6.proto")).unwrap();
    let message = Regex::new(r"^(?:message|oneof|enum|service) (\w+) \{(\})?").unwrap();
    let field = Regex::new(r"^(?:optional |repeated )?(?:string|map<string, \w+>) (\w+) =").unwrap();
    let (mut inside, mut found) = (Vec::new(), Vec::new());
    for line in proto.lines().map(str::trim) {
        if let Some(begun) = message.captures(line) {
            if begun.get(2).is_none() {
                inside.push(if line.starts_with("oneof") { String::new() } else { begun[1].to_owned() });
            }
        } else if line == "}" {
            inside.pop();
        } else if let Some(field) = field.captures(line) {
            let path: Vec<_> = inside.iter().map(String::as_str).filter(|name| !name.is_empty()).collect();
            let is_sent_by_terraform = path.contains(&"Request") || path == ["RawState"];
            if !is_sent_by_terraform {
                found.push([&path[..], &[&field[1]]].concat().join("."));
            }
        }
    }
    assert!(inside.is_empty(), "{inside:?}");
    found
}

/// Terraform prints texts as they are. A new string of the protocol needs a line in the table above, and a
/// text leaves only through the filter of `plugin/wire/to_proto.rs`.
#[test]
fn every_text_for_terraform_is_filtered() {
    let listed: Vec<_> = STRINGS_SENT.iter().map(|(path, _)| (*path).to_owned()).collect();
    assert_eq!(strings_of_the_protocol(), listed);
    let sources: BTreeMap<_, _> = sources("plugin")
        .into_iter()
        .filter(|(file, _)| !is_test(file))
        .map(|(file, text)| (file, production(&text)))
        .collect();
    let wire = "plugin/wire/to_proto.rs";
    for (path, content) in STRINGS_SENT {
        let (message, field) = path.rsplit_once('.').unwrap();
        let message = message.rsplit_once('.').map_or(message, |(_, message)| message);
        // A message that is built, up to the field.
        let built =
            Regex::new(&format!(r"\b{message}\s*\{{[^{{}}]*\b{field}\b\s*(?:[,}}]|:\s*(\w+))")).unwrap();
        let of_protocol = Regex::new(&format!(r"\bproto::(?:\w+::)*{message}\s*\{{")).unwrap();
        let filter = match content {
            Content::Line => "line",
            Content::Lines => "lines",
            Content::Empty => {
                let set = Regex::new(&format!(r"\b{field}:\s")).unwrap();
                assert!(!set.is_match(&sources[wire]), "{path} is filled");
                continue;
            }
            Content::Declared | Content::Name => continue,
        };
        let filled: Vec<_> = built.captures_iter(&sources[wire]).collect();
        assert!(!filled.is_empty(), "{path} is not built in {wire}");
        for filled in filled {
            assert_eq!(filled.get(1).map(|with| with.as_str()), Some(filter), "{path}: {}", &filled[0]);
        }
        let is_elsewhere = |text: &str| match of_protocol.find(text) {
            Some(_) => built.is_match(text),
            // Also under an imported name. The runtime's own types of this name are not the protocol's.
            None => text.contains("tfplugin6") && message == "Progress" && built.is_match(text),
        };
        let set = Regex::new(&format!(r"\.{field} = ")).unwrap();
        let elsewhere: Vec<_> = sources
            .iter()
            .filter(|(file, text)| *file != wire && text.contains("tfplugin6"))
            .filter(|(_, text)| is_elsewhere(text) || set.is_match(text))
            .map(|(file, _)| file)
            .collect();
        assert!(elsewhere.is_empty(), "{path} is filled in {elsewhere:?}");
    }
    // The texts of gRPC statuses.
    let status = Regex::new(r"\bStatus::(?:new|[a-z_]+)\(([^)]*)").unwrap();
    for (file, text) in &sources {
        for made in status.captures_iter(text) {
            assert!(file == wire && made[1].starts_with("line("), "{file}: {}", &made[0]);
        }
    }
}

/// Where secrets are exposed, and how often. Each place needs a reason here.
const EXPOSED: &[(&str, usize, &str)] = &[
    ("kms/auth/aws_iam/mod.rs", 1, "the body of a login"),
    ("kms/auth/aws_iam/signing.rs", 1, "the signed headers as JSON, which are kept as a secret again"),
    ("kms/auth/kubernetes.rs", 1, "the body of a login"),
    ("kms/auth/oidc.rs", 1, "the body of a login"),
    ("kms/auth/universal.rs", 1, "the body of a login"),
    ("kms/custom_headers.rs", 2, "the check of a header, and the header"),
    ("kms/dbt_connection.rs", 1, "the body of a create or update"),
    ("kms/proxy.rs", 1, "the login at a proxy"),
    ("kms/redact.rs", 4, "its length, and the search for it in the texts and fields of others"),
    ("kms/secret_value.rs", 1, "the search for references that were not replaced"),
    ("kms/session.rs", 1, "the authorization header"),
    ("provider/airflow/connection.rs", 1, "the connection as Airflow takes it"),
    ("provider/lifecycle/secret_digest.rs", 1, "the keyed digest"),
    ("provider/secret_attribute.rs", 1, "the value of an attribute"),
];

#[test]
fn secrets_are_exposed_only_where_they_must_be() {
    let mut found = BTreeMap::new();
    for (file, text) in sources("").into_iter().filter(|(file, _)| !is_test(file)) {
        // Tests may expose their own secrets.
        let code = production(&text);
        let count = code.matches(".expose()").count();
        if count > 0 {
            found.insert(file, count);
        }
    }
    let allowed: BTreeMap<_, _> =
        EXPOSED.iter().map(|(file, count, _)| ((*file).to_owned(), *count)).collect();
    assert_eq!(found, allowed);
}

#[test]
fn the_executable_only_wires_things_up() {
    let main = &sources("")["main.rs"];
    let lines = main.lines().count();
    assert!(lines < 60, "main.rs has grown to {lines} lines: move what decides something into a layer");
}

/// The modules that hold the texts for users, by layer.
const MESSAGES: [&str; 2] = ["plugin/messages.rs", "kms/messages.rs"];

/// Code that builds a text for users. In the two lower layers it may do so only from the layer's messages.
const TEXTS: [&str; 9] = [
    r"\.(?:error|warning)\(",
    r"\bDiagnostics?::(?:from_error|from_attribute_error|error|warning)\(",
    r"#\[error\(",
    r"\bCodecError::new\(",
    r"\b(?:Status|to_proto)::(?:not_found|invalid_argument)\(",
    r"\bio::Error::(?:other|new)\(",
    r"\bConnectorError::(?:other|user)\(",
    r"\b(?:unreadable\(|user\(|message: |problem: |tried\.push\()",
    r"\b(?:print|println|eprint|eprintln|writeln)!\(",
];

/// The places where code builds a text for users from a literal.
fn own_texts(file: &str, text: &str) -> Vec<String> {
    let code = production(text);
    let literal = Regex::new(r#"^[^;{}]{0,80}?(?:"[^"]*[a-z] |"[a-z]+"|format!)"#).unwrap();
    let mut found = Vec::new();
    for pattern in TEXTS {
        for place in Regex::new(pattern).unwrap().find_iter(&code) {
            let rest: String = code[place.end()..].chars().take(200).collect();
            let arguments = rest.split(");").next().unwrap().split(")]").next().unwrap();
            if !arguments.trim_start().starts_with("messages::") && literal.is_match(arguments) {
                let line = code[..place.start()].lines().count().max(1);
                found.push(format!("{file}:{line}: {}", place.as_str()));
            }
        }
    }
    found
}

/// In the provider layer, only `provider/messages` builds diagnostics, and gives the reasons of errors. Only the descriptions
/// of schemas, which the documentation shows, are elsewhere.
#[test]
fn the_diagnostics_of_the_provider_are_in_its_messages() {
    let reason = r#"(?:\bErr\(|\bok_or\(|\bok_or_else\(\|\| |\bmap_err\(\s*\|\w*\|\s*)(?:format!\()?\s*""#;
    let made = Regex::new(&[TEXTS[0], TEXTS[1], reason].join("|")).unwrap();
    let elsewhere: Vec<_> = sources("provider")
        .into_iter()
        .filter(|(file, _)| !file.starts_with("provider/messages/") && !is_test(file))
        .filter(|(_, text)| made.is_match(&production(text)))
        .map(|(file, _)| file)
        .collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

#[test]
fn the_texts_of_a_layer_are_in_its_messages() {
    let mut found = Vec::new();
    for layer in ["plugin", "kms"] {
        for (file, text) in sources(layer) {
            if !is_test(&file) && file != "plugin/hello_world.rs" && !MESSAGES.contains(&&*file) {
                found.extend(own_texts(&file, &text));
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
    let main = &sources("")["main.rs"];
    assert!(!main.contains("print") && !main.contains("write"), "main.rs has no texts of its own");
}

#[test]
fn a_text_outside_the_messages_is_found() {
    for code in [
        "diagnostics.error(None, \"Invalid name\", detail);",
        "Diagnostics::from_error(\n    format!(\"Invalid {name}\"),\n    detail)",
        "#[error(\"no such thing\")]",
        "Err(CodecError::new(\"a string\"))",
        "Status::not_found(format!(\"no type {name}\"))",
        "io::Error::other(\"no random bytes\")",
        "request.unreadable(\"it describes another object\")",
        "Error::Config { message: format!(\"{name} is invalid\"), source: None }",
        "println!(\"running on {port}\");",
    ] {
        assert_eq!(own_texts("x.rs", code).len(), 1, "{code}");
    }
    for code in [
        "diagnostics.push(messages::invalid(path));",
        "#[error(\"{}\", messages::no_tls())]",
        "#[error(transparent)]",
        "CodecError::new(expected::STRING)",
        "request.unreadable(messages::describes_another(\"object\"))",
        "Status::not_found(messages::unknown_type(name)); let other = \"a b\";",
        "Reason::Unreadable { problem: messages::wrong_field(1, 2) }",
    ] {
        assert_eq!(own_texts("x.rs", code), Vec::<String>::new(), "{code}");
    }
}

/// Functions of the messages that have no text of their own.
const WITHOUT_TEXT: [&str; 2] = ["note_waiting", "quoted"];

#[test]
fn the_snapshots_show_every_text() {
    let item = Regex::new(r"(?m)^pub(?:\((?:super|in [a-z:]+)\))? (?:fn|const) (\w+)").unwrap();
    let all = sources("");
    let in_one_file =
        MESSAGES.map(|file| (file, all[file].split_once("#[cfg(test)]\nmod tests").unwrap(), 21));
    let in_a_folder = all
        .iter()
        .filter(|(file, _)| {
            file.starts_with("provider/messages/") && !is_test(file) && !file.ends_with("mod.rs")
        })
        .map(|(file, text)| (&**file, (&**text, &*all["provider/messages/tests.rs"]), 4));
    for (file, (code, tests), least) in in_one_file.into_iter().chain(in_a_folder) {
        let items: Vec<_> = item.captures_iter(code).map(|found| found[1].to_owned()).collect();
        assert!(items.len() >= least, "{file} has {} texts", items.len());
        for name in items.iter().filter(|name| !WITHOUT_TEXT.contains(&name.as_str())) {
            let used = Regex::new(&format!(r"\b{name}\b")).unwrap();
            assert!(used.is_match(tests), "{file}: the snapshot lacks {name}");
        }
    }
}

/// Which files import which, resolved to the files that define what is imported. A name that a `mod.rs` re-exports is
/// resolved to its original file.
mod imports {
    use std::collections::{BTreeMap, BTreeSet};

    use regex::Regex;

    /// A path, such as `["kms", "error"]`.
    type Path = Vec<String>;

    pub struct Imports {
        /// Files by the path of their module.
        files: BTreeMap<Path, String>,
        /// Re-exports: the name and its origin.
        passed_on: BTreeMap<Path, Path>,
        /// What the files import.
        used: BTreeMap<String, BTreeSet<Path>>,
    }

    impl Imports {
        pub fn read(sources: &BTreeMap<String, String>) -> Self {
            let inline = Regex::new(r"\b\w+(?:::\w+)+").unwrap();
            let statement = Regex::new(r"(?m)^\s*(pub(?:\([^)]*\))? )?use ([^;]+);").unwrap();
            let visibility = Regex::new(r"pub\(in [^)]*\)").unwrap();
            let mut imports =
                Self { files: BTreeMap::new(), passed_on: BTreeMap::new(), used: BTreeMap::new() };
            for file in sources.keys() {
                imports.files.insert(module(file), file.clone());
            }
            for (file, text) in sources {
                let module = module(file);
                let code = without_comments(&super::production(text));
                let code = visibility.replace_all(&code, "");
                let mut used = BTreeSet::new();
                for found in statement.captures_iter(&code) {
                    for (path, name) in expand(&found[2]) {
                        let Some(path) = imports.absolute(&module, &path) else { continue };
                        if found.get(1).is_some() {
                            imports.passed_on.insert([module.clone(), vec![name]].concat(), path.clone());
                        } else {
                            used.insert(path);
                        }
                    }
                }
                let rest = statement.replace_all(&code, "");
                for found in inline.find_iter(&rest) {
                    let path: Path = found.as_str().split("::").map(str::to_owned).collect();
                    used.extend(imports.absolute(&module, &path));
                }
                imports.used.insert(file.clone(), used);
            }
            imports
        }

        /// The files that a file needs.
        pub fn of(&self, file: &str) -> BTreeSet<String> {
            let used = self.used[file].iter();
            used.filter_map(|path| self.resolve(path, 0)).filter(|other| other != file).collect()
        }

        /// Converts a path in a module to a path from the crate's root; `None` for other crates.
        fn absolute(&self, module: &[String], path: &[String]) -> Option<Path> {
            let mut base = match path.first()?.as_str() {
                "crate" | "terraform_provider_kms" => Vec::new(),
                "self" => module.to_vec(),
                "super" => module[..module.len().checked_sub(1)?].to_vec(),
                child if self.files.contains_key(&[module, &[child.to_owned()]].concat()) => {
                    return Some([module, path].concat());
                }
                _ => return None,
            };
            for segment in &path[1..] {
                match segment.as_str() {
                    "super" => drop(base.pop()),
                    "self" => {}
                    name => base.push(name.to_owned()),
                }
            }
            Some(base)
        }

        fn resolve(&self, path: &[String], depth: usize) -> Option<String> {
            for length in (0..=path.len()).rev() {
                let (start, rest) = path.split_at(length);
                if let Some(origin) = self.passed_on.get(start).filter(|_| depth < 9) {
                    return self.resolve(&[origin, rest].concat(), depth + 1);
                }
                if let Some(file) = self.files.get(start) {
                    return Some(file.clone());
                }
            }
            None
        }
    }

    fn module(file: &str) -> Path {
        let path = file.trim_end_matches(".rs");
        let path = path.strip_suffix("/mod").unwrap_or(path);
        if path == "lib" { Vec::new() } else { path.split('/').map(str::to_owned).collect() }
    }

    fn without_comments(text: &str) -> String {
        text.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
    }

    /// The paths of a use statement, with the imported names.
    fn expand(tree: &str) -> Vec<(Path, String)> {
        let tree = tree.trim();
        if let Some((start, group)) = tree.split_once('{') {
            let group = group.trim().strip_suffix('}').unwrap();
            let start: Path =
                start.trim().trim_end_matches("::").split("::").map(|part| part.trim().to_owned()).collect();
            let mut depth = 0;
            let split = |c: char| {
                match c {
                    '{' => depth += 1,
                    '}' => depth -= 1,
                    _ => {}
                }
                c == ',' && depth == 0
            };
            let parts: Vec<&str> = group.split(split).filter(|part| !part.trim().is_empty()).collect();
            let inner = parts.into_iter().flat_map(expand);
            return inner.map(|(path, name)| ([start.clone(), path].concat(), name)).collect();
        }
        let (path, alias) = tree.split_once(" as ").map_or((tree, None), |(path, alias)| (path, Some(alias)));
        let path: Path = path.split("::").map(|part| part.trim().to_owned()).collect();
        let name = alias.unwrap_or(path.last().unwrap()).trim().to_owned();
        vec![(path, name)]
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let sources: BTreeMap<_, _> = sources("").into_iter().filter(|(file, _)| !is_test(file)).collect();
    let imports = imports::Imports::read(&sources);
    let imports: BTreeMap<String, _> = sources.keys().map(|file| (file.clone(), imports.of(file))).collect();
    let reachable = |start: &str| {
        let mut reached = BTreeSet::new();
        let mut next: Vec<&String> = imports[start].iter().collect();
        while let Some(file) = next.pop() {
            if reached.insert(file.as_str()) {
                next.extend(&imports[file]);
            }
        }
        reached
    };
    let in_circles: Vec<_> = imports.keys().filter(|file| reachable(file).contains(file.as_str())).collect();
    let shown: Vec<_> = in_circles
        .iter()
        .map(|file| {
            let within: Vec<_> = imports[*file].iter().filter(|other| in_circles.contains(other)).collect();
            format!("{file} imports {within:?}")
        })
        .collect();
    assert!(shown.is_empty(), "{shown:#?}");
}
