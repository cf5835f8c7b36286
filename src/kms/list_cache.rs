//! A cache of lists, which decides when a list is worth its request. It does no I/O: the clock is an argument.
//!
//! The KMS allows few reads per minute, but one list has all objects of a project or of the whole organization. So the
//! first two objects are read individually, and from the third on a list serves the reads: the project's list if all
//! reads are in one project, and otherwise the organization's, if the identity may read it. If it may not, projects
//! with more than two reads are listed individually. Kinds of objects without a list of the organization are listed by
//! project.
//!
//! A list is valid for [`TTL`], but never for a read that began after a write of this process that the list may have
//! missed. Objects that it doesn't show, or only in part, are read individually.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{api_error::ApiErrorKind, error::Error, object::Object};

/// How long a list is valid: long enough that reading thousands of objects takes few lists, and short enough that
/// changes by others are noticed soon.
pub(super) const TTL: Duration = Duration::from_secs(30);

/// How long a list isn't requested after a failure. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How many objects are read individually before a list is requested.
pub(super) const SINGLE_READS: u32 = 2;

/// The maximum number of projects whose lists are requested to check creates. Creates in further projects use the list
/// of all. Otherwise a plan with many projects would exhaust the rate limit.
const CHECKED_PROJECTS: usize = 5;

/// The scope of an object, as far as the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The organization itself.
    Organization,
    /// The project with this ID.
    Project(&'a str),
    /// Unknown: only the object's ID is known.
    Unknown,
}

/// A list that can be requested.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Listing {
    /// All objects of the organization and of its projects.
    All,
    /// The objects of one project.
    Project(String),
}

/// The key of an object to read.
#[derive(Debug)]
pub(super) enum Key<'a, O: Object> {
    Id(&'a str),
    Place(&'a O::Place),
}

// Not derived, because that would require `O: Copy`.
impl<O: Object> Clone for Key<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Object> Copy for Key<'_, O> {}

/// The next step of a read.
#[derive(Debug, PartialEq)]
pub(super) enum Step<O> {
    /// A list has the object.
    Found(Box<O>),
    /// Request this list, and look again.
    List(Listing),
    /// Read the object individually.
    Single,
}

/// The lists of one kind of object. All operations of a client share them.
pub struct ListCache<O: Object> {
    state: Mutex<State<O>>,
    /// Held by the operation that requests a list. If that is stopped or dropped, the next one takes over.
    turns: Mutex<HashMap<Listing, Arc<tokio::sync::Mutex<()>>>>,
    /// Held by a read of an object of unknown scope while there is no list of all. Each such read reveals a scope,
    /// which may be worth a list for the next.
    pub(super) searching: tokio::sync::Mutex<()>,
}

impl<O: Object> Default for ListCache<O> {
    fn default() -> Self {
        Self { state: Mutex::default(), turns: Mutex::default(), searching: tokio::sync::Mutex::default() }
    }
}

impl<O: Object> ListCache<O> {
    pub(super) fn state(&self) -> MutexGuard<'_, State<O>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a change or deletion of an object, until the result is dropped.
    pub(super) fn forgetting<'a>(&'a self, id: &'a str) -> Forgetting<'a, O> {
        Forgetting { lists: self, id }
    }

    /// The lock of the operations that request a list.
    pub(super) fn turn(&self, listing: &Listing) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(listing.clone()).or_default())
    }
}

/// An object that is being changed or deleted. When this is dropped, the lists forget it: until the next list, creates
/// find its place free.
pub(super) struct Forgetting<'a, O: Object> {
    lists: &'a ListCache<O>,
    id: &'a str,
}

impl<O: Object> Drop for Forgetting<'_, O> {
    fn drop(&mut self) {
        self.lists.state().forget(self.id);
    }
}

/// Whether a list may be requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Permission {
    #[default]
    Now,
    NotBefore(Instant),
    Never,
}

/// The state of one list.
#[derive(Debug)]
struct Kept<O> {
    list: Option<List<O>>,
    permission: Permission,
    failures: u32,
    /// Why it last failed.
    failure: Option<Error>,
}

impl<O> Default for Kept<O> {
    fn default() -> Self {
        Self { list: None, permission: Permission::Now, failures: 0, failure: None }
    }
}

#[derive(Debug)]
struct List<O> {
    /// Sorted with [`compare_ids`], because a map would take twice the memory.
    objects: Vec<O>,
    /// How many writes of this process had finished when it was requested.
    writes: u64,
    received_at: Instant,
}

impl<O: Object> List<O> {
    fn get(&self, key: Key<'_, O>) -> Option<&O> {
        match key {
            Key::Id(id) => {
                let found = self.objects.binary_search_by(|object| compare_ids(object.id(), id));
                found.ok().and_then(|index| self.objects.get(index))
            }
            Key::Place(place) => self.objects.iter().find(|object| object.is_at(place)),
        }
    }
}

/// A project, or the organization itself.
type Home = Option<String>;

/// The lists, and the counts of reads that show which lists are worth a request.
#[derive(Debug)]
pub(super) struct State<O: Object> {
    kept: HashMap<Listing, Kept<O>>,
    /// Reads since the last write of this process, by scope; `None` for an unknown scope. A write invalidates the
    /// lists, so counting starts again.
    reads: HashMap<Option<Home>, u32>,
    total: u32,
    /// Reads by project of objects that the list of all doesn't have.
    missed: HashMap<String, u32>,
    /// Individually read objects of unknown scope, by their actual scope.
    revealed: HashMap<Home, u32>,
    /// How many writes had finished when counting started.
    writes: u64,
    /// The projects whose lists are requested to check creates.
    checked: HashSet<String>,
    /// How many free places were confirmed individually.
    confirmed: u32,
}

impl<O: Object> Default for State<O> {
    fn default() -> Self {
        Self {
            kept: HashMap::new(),
            reads: HashMap::new(),
            total: 0,
            missed: HashMap::new(),
            revealed: HashMap::new(),
            writes: 0,
            checked: HashSet::new(),
            confirmed: 0,
        }
    }
}

impl<O: Object> State<O> {
    /// Counts a read that started after `writes` writes.
    pub(super) fn count(&mut self, key: Key<'_, O>, scope: Scope<'_>, writes: u64, now: Instant) {
        if writes > self.writes {
            self.writes = writes;
            self.total = 0;
            self.reads.clear();
            self.missed.clear();
            self.revealed.clear();
        }
        self.total = self.total.saturating_add(1);
        *self.reads.entry(home(scope)).or_default() += 1;
        if let Scope::Project(id) = scope
            && let Some(list) = self.fresh(&Listing::All, writes, now)
            && list.get(key).is_none()
        {
            *self.missed.entry(id.to_owned()).or_default() += 1;
        }
    }

    /// Whether so few objects were read that waiting for others is worthwhile.
    pub(super) fn is_early(&self) -> bool {
        self.total <= SINGLE_READS
    }

    /// Records that an object of unknown scope is in `project_id`.
    pub(super) fn reveal(&mut self, project_id: Option<&str>) {
        *self.revealed.entry(project_id.map(str::to_owned)).or_default() += 1;
    }

    /// Where to get an object, for a read that started after `writes` writes.
    pub(super) fn step(&self, key: Key<'_, O>, scope: Scope<'_>, writes: u64, now: Instant) -> Step<O> {
        for listing in self.covering(scope) {
            if let Some(object) = self.fresh(&listing, writes, now).and_then(|list| list.get(key)) {
                // An entry without its project is incomplete: the object would seem to have moved.
                let is_in_scope = match scope {
                    Scope::Organization => object.project_id().is_none(),
                    Scope::Project(id) => object.project_id() == Some(id),
                    Scope::Unknown => true,
                };
                let is_usable = is_in_scope && object.is_whole();
                return if is_usable { Step::Found(Box::new(object.clone())) } else { Step::Single };
            }
        }
        if self.is_early() {
            return Step::Single;
        }
        let wanted = self.wanted(scope, writes, now).into_iter();
        // The fresh lists don't have it.
        let mut wanted = wanted.filter(|listing| self.fresh(listing, writes, now).is_none());
        wanted.find(|listing| self.may_ask(listing, now)).map_or(Step::Single, Step::List)
    }

    /// The list that shows what a create will find in a scope, of any age. `None` if no list is worth its request.
    pub(super) fn listing_for_create(&mut self, scope: Scope<'_>) -> Option<Listing> {
        let Scope::Project(id) = scope else { return O::HAS_LIST_OF_ALL.then_some(Listing::All) };
        let project = Listing::Project(id.to_owned());
        if self.checked.contains(id) || self.latest(&project).is_some() {
            return Some(project);
        }
        let is_in = |list: &List<O>| list.objects.iter().any(|object| object.project_id() == Some(id));
        // Only an entry of the project proves that it exists.
        if self.latest(&Listing::All).is_some_and(is_in) {
            return Some(Listing::All);
        }
        if self.checked.len() < CHECKED_PROJECTS {
            self.checked.insert(id.to_owned());
            return Some(project);
        }
        O::HAS_LIST_OF_ALL.then_some(Listing::All)
    }

    /// Whether a list was received, however old it is.
    pub(super) fn is_received(&self, listing: &Listing) -> bool {
        self.latest(listing).is_some()
    }

    /// The object at a place, in a list of any age.
    pub(super) fn find(&self, listing: &Listing, place: &O::Place) -> Option<O> {
        self.latest(listing)?.get(Key::Place(place)).cloned()
    }

    /// Whether a place that a list shows as free is worth a read. That shows objects of other apps with the name, which
    /// the list doesn't have.
    pub(super) fn may_confirm(&mut self) -> bool {
        self.confirmed += 1;
        self.confirmed <= SINGLE_READS
    }

    fn forget(&mut self, id: &str) {
        for list in self.kept.values_mut().filter_map(|kept| kept.list.as_mut()) {
            if let Ok(index) = list.objects.binary_search_by(|object| compare_ids(object.id(), id)) {
                list.objects.remove(index);
            }
        }
    }

    /// Why a list failed that isn't requested again at `now`.
    pub(super) fn failure(&self, listing: &Listing, now: Instant) -> Option<Error> {
        if self.may_ask(listing, now) { None } else { self.kept.get(listing)?.failure.clone() }
    }

    /// Whether a list is still needed once the lock is acquired.
    pub(super) fn is_wanted(&self, listing: &Listing, writes: u64, now: Instant) -> bool {
        self.fresh(listing, writes, now).is_none() && self.may_ask(listing, now)
    }

    /// Whether the list last failed because of the rate limit.
    pub(super) fn is_limited(&self, listing: &Listing) -> bool {
        let failure = self.kept.get(listing).and_then(|kept| kept.failure.as_ref());
        matches!(failure, Some(Error::RateLimited { .. }))
    }

    /// Stores the result of a list that was requested after `writes` writes.
    pub(super) fn keep(
        &mut self,
        listing: &Listing,
        result: Result<Vec<O>, Error>,
        writes: u64,
        now: Instant,
    ) {
        let kept = self.kept.entry(listing.clone()).or_default();
        match result {
            Ok(mut objects) => {
                // By ID, such an entry would hide the one in the list of its own project.
                if let Listing::Project(id) = listing {
                    objects.retain(|object| object.project_id() == Some(id));
                }
                objects.sort_unstable_by(|a, b| compare_ids(a.id(), b.id()));
                objects.shrink_to_fit();
                let list = Some(List { objects, writes, received_at: now });
                *kept = Kept { list, ..Kept::default() };
            }
            // A stop of this operation doesn't concern those that wait.
            Err(Error::Cancelled) => {}
            Err(error) => {
                if error.api_kind() == Some(ApiErrorKind::PermissionDenied) {
                    kept.permission = Permission::Never;
                } else {
                    let pause =
                        FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(kept.failures)).min(LONGEST_PAUSE);
                    kept.failures += 1;
                    kept.permission = Permission::NotBefore(now + pause);
                }
                kept.failure = Some(error);
            }
        }
    }

    fn latest(&self, listing: &Listing) -> Option<&List<O>> {
        self.kept.get(listing)?.list.as_ref()
    }

    fn fresh(&self, listing: &Listing, writes: u64, now: Instant) -> Option<&List<O>> {
        let list = self.latest(listing)?;
        (list.writes >= writes && now < list.received_at + TTL).then_some(list)
    }

    fn may_ask(&self, listing: &Listing, now: Instant) -> bool {
        match self.kept.get(listing).map(|kept| kept.permission).unwrap_or_default() {
            Permission::Now => true,
            Permission::NotBefore(until) => until <= now,
            Permission::Never => false,
        }
    }

    /// The lists that can have an object of the scope.
    fn covering(&self, scope: Scope<'_>) -> Vec<Listing> {
        match scope {
            Scope::Organization => vec![Listing::All],
            Scope::Project(id) => vec![Listing::Project(id.to_owned()), Listing::All],
            Scope::Unknown => self.kept.keys().cloned().collect(),
        }
    }

    /// The lists that are worth a request, the best first.
    fn wanted(&self, scope: Scope<'_>, writes: u64, now: Instant) -> Vec<Listing> {
        match scope {
            Scope::Organization => vec![Listing::All],
            Scope::Project(id) => {
                let project = Listing::Project(id.to_owned());
                // Without a list of all, the project's list costs no more than a read.
                if self.reads.len() == 1 || !O::HAS_LIST_OF_ALL {
                    return vec![project];
                }
                let reads = match self.fresh(&Listing::All, writes, now) {
                    Some(_) => self.missed.get(id),
                    None => self.reads.get(&Some(Some(id.to_owned()))),
                };
                let is_worth_it = reads.is_some_and(|reads| *reads > SINGLE_READS);
                let all = O::HAS_LIST_OF_ALL.then_some(Listing::All);
                all.into_iter().chain(is_worth_it.then_some(project)).collect()
            }
            Scope::Unknown => {
                let all = O::HAS_LIST_OF_ALL.then_some(Listing::All);
                let frequent = self.revealed.iter().filter(|(_, count)| **count >= SINGLE_READS);
                let projects = frequent.filter_map(|(home, _)| home.clone().map(Listing::Project));
                if self.revealed.len() == 1 {
                    projects.chain(all).collect()
                } else {
                    all.into_iter().chain(projects).collect()
                }
            }
        }
    }
}

/// UUIDs are the same in upper and lower case.
fn compare_ids(a: &str, b: &str) -> Ordering {
    let lower = |byte: u8| byte.to_ascii_lowercase();
    a.bytes().map(lower).cmp(b.bytes().map(lower))
}

fn home(scope: Scope<'_>) -> Option<Home> {
    match scope {
        Scope::Organization => Some(None),
        Scope::Project(id) => Some(Some(id.to_owned())),
        Scope::Unknown => None,
    }
}
