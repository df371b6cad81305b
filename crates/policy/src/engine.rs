use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bailiwick_action::Denial;
use bailiwick_run::{Launcher, Run};

use crate::compile::Compiled;
use crate::describe::{self, Line};
use crate::digest::Digest;
use crate::explain;
use crate::guardrail::{self, Guardrail};
use crate::limits::{MAX_FILE, MAX_FILES, MAX_MASKED_IN_ALL};
use crate::model::{Model, Refused};
use crate::parse::{self, Above};
use crate::pins::{self, Pins};
use crate::problem::{LoadErrors, Place, Problem, nearest};
use crate::scope::{self, Scope};
use crate::task::Task;

/// A target of the configuration, as task files may name it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetName {
    /// Its name.
    pub name: String,
    /// Its kind, such as `postgres`.
    pub kind: String,
    /// What an agent can be handed to reach it, in `[env]` as `FORM:TARGET`; the first also as `TARGET`.
    pub forms: Vec<String>,
    /// The operations that its description (OpenAPI) names.
    pub operations: BTreeMap<String, Operation>,
}

/// An operation of a target, by its id in the target's description.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operation {
    /// The method, in upper case.
    pub method: String,
    /// The path, relative to the target's URL, with `{name}` for a segment that may be any.
    pub path: String,
}

impl TargetName {
    /// A target that has no description.
    pub fn new(name: &str, kind: &str, forms: &[&str]) -> Self {
        Self {
            name: name.to_owned(),
            kind: kind.to_owned(),
            forms: forms.iter().map(|form| (*form).to_owned()).collect(),
            operations: BTreeMap::new(),
        }
    }
}

/// All task files and guardrails as they were at one moment. It never changes; to take up changed
/// files, load another one.
pub struct Engine {
    model: Arc<Model>,
    tasks: BTreeMap<String, Ready>,
    guardrails: Arc<[Guardrail]>,
    guardrails_digest: String,
    digest: String,
}

/// A task with its policies, ready to decide.
pub(crate) struct Ready {
    task: Arc<Task>,
    compiled: Arc<Compiled>,
    digest: String,
}

/// A run could not be given a scope.
#[derive(Debug, thiserror::Error)]
pub enum ScopeError {
    /// Its task does not exist.
    #[error("no task is called `{0}`")]
    NoTask(String),
    /// The policy engine did not take it.
    #[error("{0}")]
    Refused(String),
}

impl Engine {
    /// Loads `tasks/*.toml`, their `tasks/*.pins`, and what stands above them: the guardrails `policies/*.cedar` and the
    /// masks `policies/*.toml`. Either everything is right or nothing is loaded, and then the errors name all that is
    /// wrong.
    pub fn load(tasks: &Path, policies: &Path, targets: &[TargetName]) -> Result<Self, LoadErrors> {
        let model = Model::new().map_err(|error| refused(policies, error))?;
        let mut problems = Vec::new();
        let mut digest = Digest::new().part(model.text().as_bytes());

        let mut guardrails = Vec::new();
        for File { path, stem, text } in files(policies, "cedar", &mut problems) {
            digest = digest
                .part(b"policy")
                .part(stem.as_bytes())
                .part(text.as_bytes());
            match guardrail::read(&model, &path, &stem, &text) {
                Ok(read) => guardrails.extend(read),
                Err(found) => problems.extend(found),
            }
        }
        let guardrails_digest = digest.finish();

        let mut digest = Digest::new().part(guardrails_digest.as_bytes());
        let mut above = Above::default();
        for File { path, stem, text } in files(policies, "toml", &mut problems) {
            digest = digest
                .part(b"masks")
                .part(stem.as_bytes())
                .part(text.as_bytes());
            match parse::above(&path, &text, targets) {
                Ok(read) => {
                    above.masks.extend(read.masks);
                    above.fields.extend(read.fields);
                    above.never_clear = above.never_clear.union(read.never_clear);
                }
                Err(found) => problems.extend(found),
            }
        }
        if above.masks.len() + above.fields.len() > MAX_MASKED_IN_ALL {
            let message = format!(
                "more than {MAX_MASKED_IN_ALL} columns and fields are masked in every task"
            );
            problems.push(whole(policies, message));
            above = Above::default();
        }
        let mut pinned: BTreeMap<String, (PathBuf, String, Pins)> = BTreeMap::new();
        for File { path, stem, text } in files(tasks, "pins", &mut problems) {
            digest = digest
                .part(b"pins")
                .part(stem.as_bytes())
                .part(text.as_bytes());
            let pins = pins::read(&path, &text, targets).unwrap_or_else(|found| {
                problems.extend(found);
                Pins::new()
            });
            pinned.insert(stem, (path, text, pins));
        }
        let mut parsed: Vec<Task> = Vec::new();
        let mut names = Vec::new();
        for File { path, stem, text } in files(tasks, "toml", &mut problems) {
            digest = digest
                .part(b"task")
                .part(stem.as_bytes())
                .part(text.as_bytes());
            let pins = pinned.remove(&stem);
            match (parse::task(&path, &stem, &text, targets), pins) {
                (Ok(task), Some((_, text, pins))) => parsed.push(task.with_pins(pins, &text)),
                (Ok(task), None) => parsed.push(task),
                (Err(found), _) => problems.extend(found),
            }
            names.push(stem);
        }
        for target in targets {
            digest = digest
                .part(target.name.as_bytes())
                .part(target.kind.as_bytes());
        }
        let parsed: Vec<Task> = parsed
            .into_iter()
            .map(|task| task.masking(&above.masks, &above.fields))
            .collect();
        // What operations stand for is in the digests of the tasks that name them.
        for task in &parsed {
            digest = digest.part(task.digest.as_bytes());
        }

        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        for (stem, (path, _, _)) in pinned {
            problems.push(Problem {
                nearest: nearest(&stem, names.iter().copied()).map(str::to_owned),
                ..whole(
                    &path,
                    format!("there is no task file `{stem}.toml` that these pins are for"),
                )
            });
        }
        problems.extend(guardrail::check(&guardrails, targets, &names));
        let clears = parsed.iter().flat_map(|task| &task.clears);
        for clear in clears {
            for kind in clear.kinds.and(above.never_clear).iter() {
                problems.push(Problem {
                    place: clear.place.clone(),
                    key: "clear".to_owned(),
                    message: format!(
                        "no task may clear {}: never_clear in the policies says so",
                        kind.as_str()
                    ),
                    nearest: None,
                });
            }
        }
        if !problems.is_empty() {
            return Err(LoadErrors::new(problems));
        }

        let mut ready = BTreeMap::new();
        for task in parsed {
            let compiled = Compiled::new(&model, &task, &guardrails)
                .map_err(|error| refused(&task.place.file, error))?;
            let digest = scope_digest(&guardrails_digest, &task);
            ready.insert(
                task.name.clone(),
                Ready {
                    task: Arc::new(task),
                    compiled: Arc::new(compiled),
                    digest,
                },
            );
        }
        Ok(Self {
            model: Arc::new(model),
            tasks: ready,
            guardrails: guardrails.into(),
            guardrails_digest,
            digest: digest.finish(),
        })
    }

    /// `sha256:` and a digest of everything that was loaded.
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// The task of this name.
    pub fn task(&self, name: &str) -> Option<&Task> {
        self.tasks.get(name).map(|ready| ready.task.as_ref())
    }

    /// All tasks, by name.
    pub fn tasks(&self) -> impl Iterator<Item = &Task> {
        self.tasks.values().map(|ready| ready.task.as_ref())
    }

    /// The task that was probably meant by a name that is no task's.
    pub fn nearest_task(&self, name: &str) -> Option<&str> {
        nearest(name, self.tasks.keys().map(String::as_str))
    }

    /// All guardrails, in the order of their files.
    pub fn guardrails(&self) -> &[Guardrail] {
        &self.guardrails
    }

    /// Whether the launcher may open a run of the task.
    pub fn may_open(&self, task: &str, launcher: &Launcher) -> Result<(), Denial> {
        let Some(ready) = self.tasks.get(task) else {
            return Err(explain::no_task(task, self.nearest_task(task)));
        };
        let verdict = scope::open(&self.model, &ready.compiled, task, launcher);
        if verdict.is_allowed() {
            Ok(())
        } else {
            Err(explain::opening(
                &ready.task,
                launcher,
                &verdict,
                &self.guardrails,
            ))
        }
    }

    /// The scope of a run: what its task grants, within the guardrails.
    pub fn scope(&self, run: &Run) -> Result<Scope, ScopeError> {
        let ready = self
            .tasks
            .get(&run.task)
            .ok_or_else(|| ScopeError::NoTask(run.task.clone()))?;
        Scope::new(
            Arc::clone(&self.model),
            Arc::clone(&ready.task),
            Arc::clone(&ready.compiled),
            Arc::clone(&self.guardrails),
            ready.digest.clone(),
            run,
        )
        .map_err(|error| ScopeError::Refused(error.to_string()))
    }

    /// The scopes of runs that are open: what each was opened to do, within the guardrails of now. Nothing
    /// where these are the guardrails that it has.
    pub fn guarded(&self, open: &[(Arc<Scope>, Run)]) -> Result<Vec<Option<Scope>>, ScopeError> {
        // Many runs are of one task.
        let mut compiled: BTreeMap<String, Arc<Compiled>> = BTreeMap::new();
        let mut guard = |scope: &Scope, run: &Run| {
            let task = scope.shared_task();
            let digest = scope_digest(&self.guardrails_digest, &task);
            if digest == scope.digest() {
                return Ok(None);
            }
            let policies = match compiled.get(&digest) {
                Some(policies) => Arc::clone(policies),
                None => {
                    let policies = Compiled::new(&self.model, &task, &self.guardrails)?;
                    let policies = Arc::new(policies);
                    compiled.insert(digest.clone(), Arc::clone(&policies));
                    policies
                }
            };
            let (model, guardrails) = (Arc::clone(&self.model), Arc::clone(&self.guardrails));
            Scope::new(model, task, policies, guardrails, digest, run).map(Some)
        };
        let guarded = open.iter().map(|(scope, run)| {
            let refused = |error| ScopeError::Refused(format!("{}: {error}", run.id));
            guard(scope, run).map_err(refused)
        });
        guarded.collect()
    }

    /// The digest of the scope that a run of the task would be given; nothing if there is no such task.
    pub fn scope_digest(&self, task: &str) -> Option<&str> {
        self.tasks.get(task).map(|ready| ready.digest.as_str())
    }

    /// What a run of the task may do, in words; nothing if there is no such task.
    pub fn describe(&self, task: &str) -> Option<Vec<Line>> {
        let ready = self.tasks.get(task)?;
        Some(describe::scope(&ready.task, &self.guardrails))
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Engine({} tasks, {})", self.tasks.len(), self.digest)
    }
}

/// Of a task within guardrails.
fn scope_digest(guardrails: &str, task: &Task) -> String {
    let digest = Digest::new().part(guardrails.as_bytes());
    digest.part(task.digest.as_bytes()).finish()
}

fn refused(file: &Path, error: Refused) -> LoadErrors {
    LoadErrors::new(vec![whole(file, error.to_string())])
}

fn whole(file: &Path, message: String) -> Problem {
    Problem {
        place: Place::whole(file),
        key: String::new(),
        message,
        nearest: None,
    }
}

struct File {
    path: PathBuf,
    stem: String,
    text: String,
}

/// The files of a folder with this extension, by name. A folder that is not there is a problem: it
/// may hold what keeps runs in bounds.
fn files(folder: &Path, extension: &str, problems: &mut Vec<Problem>) -> Vec<File> {
    let listed = fs::read_dir(folder).and_then(|entries| {
        entries
            .map(|entry| Ok(entry?.path()))
            .collect::<Result<Vec<_>, _>>()
    });
    let (mut paths, real) = match listed.and_then(|paths| Ok((paths, own(folder)?))) {
        Ok(found) => found,
        Err(error) => {
            let make = match error.kind() {
                ErrorKind::NotFound => "; if it should be empty, make it",
                _ => "",
            };
            let message = format!("cannot take this folder: {error}{make}");
            problems.push(whole(folder, message));
            return Vec::new();
        }
    };
    paths.retain(|path| path.extension().is_some_and(|found| found == extension));
    paths.sort();
    if paths.len() > MAX_FILES {
        problems.push(whole(
            folder,
            format!("there are more than {MAX_FILES} files in it"),
        ));
        return Vec::new();
    }
    let mut files = Vec::with_capacity(paths.len());
    for path in paths {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .map(str::to_owned);
        match (stem, read(&path, &real)) {
            (Some(stem), _) if stem.starts_with('.') => {}
            (Some(stem), Ok(text)) => files.push(File { path, stem, text }),
            (None, _) => problems.push(whole(&path, "the file's name is not UTF-8".to_owned())),
            (_, Err(message)) => problems.push(whole(&path, message)),
        }
    }
    files
}

fn read(path: &Path, folder: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read it: {error}");
    // Opening anything else, such as a pipe, could wait for ever.
    if !fs::metadata(path).map_err(cannot)?.is_file() {
        return Err("it is not a file".to_owned());
    }
    // Runs are kept from writing what is in the folder, and not where a link leads.
    let real = own(path).map_err(cannot)?;
    if !real.starts_with(folder) {
        return Err(format!(
            "it is a link to {}, which is outside its folder; put the file itself there",
            real.display()
        ));
    }
    let mut bytes = Vec::new();
    fs::File::open(&real)
        .map_err(cannot)?
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(cannot)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(format!("it is larger than {MAX_FILE} bytes"));
    }
    String::from_utf8(bytes).map_err(|_| "it is not UTF-8 text".to_owned())
}

/// Where a path really is, if it is not for everybody to write: an agent is among them.
fn own(path: &Path) -> std::io::Result<PathBuf> {
    let real = fs::canonicalize(path)?;
    if fs::metadata(&real)?.mode() & 0o002 != 0 {
        return Err(std::io::Error::other(format!(
            "everybody may write it, agents among them; `chmod o-w {}` ends that",
            real.display()
        )));
    }
    Ok(real)
}
