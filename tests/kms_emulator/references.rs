//! References of secrets to other secrets, and folders that import the secrets of other folders.
//!
//! The two servers differ in details. Infisical's newest one first checks the right to the secret itself,
//! replaces references to empty secrets, and expands references that its replacements have formed.

use serde_json::Value;

use super::{
    answer::Refusal,
    options::Server,
    projects::Folder,
    rights::{Action, Object, Rights},
    secrets::Found,
    state::State,
};

/// How often references may lead to further ones, and how often the whole value is looked at again.
const MAX_DEPTH: usize = 10;

/// How deep imports may be nested.
const MAX_IMPORT_DEPTH: usize = 10;

/// One folder shows the secrets of another one as its own.
#[derive(Clone, Debug)]
pub struct SecretImport {
    pub into: Folder,
    pub from: Folder,
}

/// A secret that a folder has only because it imports another one.
pub(crate) struct Imported<'s> {
    /// The folder that is imported. It may have the secret by an import of its own.
    pub through: Folder,
    /// The folder that has the secret.
    pub home: Folder,
    pub found: Found<'s>,
}

/// A value whose references are being replaced.
struct Frame {
    value: String,
    folder: Folder,
    depth: usize,
    /// The secrets on the way here, and this one.
    visited: Vec<(Folder, String)>,
}

/// The references in a text, such as `${prod.folder.NAME}`, each as often as it stands there.
fn references(text: &str, of_projects: bool) -> Vec<&str> {
    let belongs =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.".contains(byte) || (of_projects && *byte == b'@');
    let starts = text.match_indices("${").map(|(at, _)| at);
    let found = starts.filter_map(|at| {
        let inner = &text[at + 2..];
        let length = inner.bytes().take_while(|byte| belongs(byte)).count();
        (length > 0 && inner[length..].starts_with('}')).then(|| &text[at..at + 2 + length + 1])
    });
    found.collect()
}

fn not_readable(name: &str, folder: &Folder) -> String {
    format!(
        "You do not have permission to read secret '{name}' in environment '{}' at path '{}'",
        folder.environment, folder.path
    )
}

fn forbidden(message: String) -> Refusal {
    Refusal { message: Value::from(message), ..Refusal::of_status(403) }
}

impl State {
    /// Lets a folder import another one. Where several have a secret, the last import counts.
    pub fn import_folder(&mut self, into: Folder, from: Folder) {
        self.secret_imports.push(SecretImport { into, from });
    }

    /// The secret's value with its references replaced. What doesn't exist is left as it is.
    ///
    /// # Errors
    /// A 403 when the caller may not read one of the secrets.
    pub(crate) fn expand(
        &self,
        rights: &Rights<'_>,
        folder: &Folder,
        name: &str,
        value: &str,
    ) -> Result<String, Refusal> {
        let newest = rights.server() == Server::Infisical;
        let references =
            |text: &str| -> Vec<String> { references(text, newest).into_iter().map(Into::into).collect() };
        if references(value).is_empty() {
            return Ok(value.into());
        }
        let may_read = |folder: &Folder| rights.allow_on(Action::ReadSecret, Object::in_folder(folder));
        if newest && !may_read(folder) {
            return Err(forbidden(not_readable(name, folder) + "."));
        }
        let first = |value: &str| Frame {
            value: value.into(),
            folder: folder.clone(),
            depth: 0,
            visited: vec![(folder.clone(), name.into())],
        };
        let mut expanded = value.to_owned();
        let mut known = references(value);
        let mut passes = 0;
        let mut stack = vec![first(value)];
        while let Some(frame) = stack.pop() {
            if frame.depth <= MAX_DEPTH {
                for reference in references(&frame.value) {
                    let Some(target) = target(&reference, &frame.folder) else { continue };
                    if !may_read(&target.0) {
                        let of = not_readable(name, folder);
                        let of = of.trim_start_matches("You do not have permission to read ");
                        let message =
                            format!("{}, which is referenced by {of}.", not_readable(&target.1, &target.0));
                        return Err(forbidden(message));
                    }
                    let found = self.current_value(&target.0, &target.1);
                    let text = found.unwrap_or_default();
                    if !references(text).is_empty() && !frame.visited.contains(&target) {
                        let visited = frame.visited.iter().cloned().chain([target.clone()]).collect();
                        stack.push(Frame {
                            value: text.into(),
                            folder: target.0,
                            depth: frame.depth + 1,
                            visited,
                        });
                    }
                    if if newest { found.is_some() } else { !text.is_empty() } {
                        expanded = expanded.replace(&reference, text);
                    }
                }
            }
            if newest && stack.is_empty() && passes < MAX_DEPTH {
                let now = references(&expanded);
                if now.iter().any(|reference| !known.contains(reference)) {
                    known = now;
                    passes += 1;
                    stack.push(first(&expanded));
                }
            }
        }
        Ok(expanded)
    }

    fn current_value(&self, folder: &Folder, name: &str) -> Option<&str> {
        let there = self.folder(&folder.project_id, &folder.environment, &folder.path).ok().flatten()?;
        self.find_secret(self.seen_secrets(), &there, name, None).map(|found| found.value)
    }

    /// The secret of this name that a folder imports. The last import that has it counts, and there the
    /// imported folder itself before what that imports. Secrets that the caller may not see are left out.
    pub(crate) fn imported_secret(
        &self,
        rights: &Rights<'_>,
        folder: &Folder,
        name: &str,
    ) -> Option<Imported<'_>> {
        /// Whose secrets those of a nested import are added to.
        enum Parent {
            None,
            Import(usize),
            /// The server adds them to a list that it has copied before.
            Lost,
        }
        let mut seen: Vec<Folder> = Vec::new();
        let mut shown: Vec<(Folder, Vec<(Folder, Found<'_>)>)> = Vec::new();
        let mut stack = vec![(self.imports_of(folder), 0, Parent::None)];
        while let Some((imports, depth, parent)) = stack.pop() {
            if depth > MAX_IMPORT_DEPTH {
                continue;
            }
            let imports: Vec<_> = imports.into_iter().filter(|from| !seen.contains(from)).collect();
            seen.extend(imports.iter().map(|from| (*from).clone()));
            for from in imports {
                let visible = rights.allow_on(Action::DescribeSecret, Object::in_folder(from));
                let found = self.find_secret(self.seen_secrets(), from, name, None).filter(|_| visible);
                let found = found.map(|found| (from.clone(), found));
                let next = match parent {
                    Parent::None => {
                        shown.push((from.clone(), found.into_iter().collect()));
                        Parent::Import(shown.len() - 1)
                    }
                    Parent::Import(at) => {
                        shown[at].1.extend(found);
                        Parent::Lost
                    }
                    Parent::Lost => Parent::Lost,
                };
                stack.push((self.imports_of(from), depth + 1, next));
            }
        }
        shown.into_iter().rev().find_map(|(through, found)| {
            let (home, found) = found.into_iter().next()?;
            Some(Imported { through, home, found })
        })
    }

    fn imports_of(&self, folder: &Folder) -> Vec<&Folder> {
        let imports = self.secret_imports.iter().filter(|import| import.into == *folder);
        imports.map(|import| &import.from).collect()
    }
}

/// The secret that a reference in a folder means. References to other projects need a license and a grant,
/// which nobody has here.
fn target(reference: &str, folder: &Folder) -> Option<(Folder, String)> {
    let parts: Vec<_> = reference[2..reference.len() - 1].split('.').collect();
    match &parts[..] {
        [name] => Some((folder.clone(), (*name).into())),
        [first, ..] if first.starts_with('@') => None,
        [environment, path @ .., name] => {
            let path = path
                .iter()
                .filter(|part| !part.is_empty())
                .fold(String::new(), |path, part| path + "/" + part);
            let path = if path.is_empty() { "/" } else { &path };
            Some((Folder::new(&folder.project_id, environment, path), (*name).into()))
        }
        [] => None,
    }
}
