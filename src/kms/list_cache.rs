//! Which list shows which objects, and when a list is worth its call. Pure but for its locks: the clock is an argument.
//!
//! The KMS allows few reads a minute, but one list shows all objects of a project, or of the whole organization. So the
//! first two objects are read one by one, and from the third on a list serves the reads: that of the project if all
//! reads are in one, else that of the organization, if the identity may read it. Where it may not, projects with more
//! than two reads are listed by themselves. Kinds of objects without a list of the organization are listed by project.
//!
//! A list serves for [`TTL`], and never a read that began after a write of this process which the list may have missed.
//! Only what it shows counts: what it doesn't show, or not in full, is read by itself.

use std::{
    cmp::Ordering,
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use super::{api_error::ApiErrorKind, error::Error, object::Object};

/// How long a list serves: long enough that reading thousands of objects takes few lists, and short enough that changes
/// made by others meanwhile aren't missed for long.
pub(super) const TTL: Duration = Duration::from_secs(30);

/// How long a list isn't asked for after it failed. Each further failure doubles it.
const FIRST_PAUSE: Duration = Duration::from_secs(30);
const LONGEST_PAUSE: Duration = Duration::from_secs(600);

/// How many objects are read by themselves before a list is asked for.
pub(super) const SINGLE_READS: u32 = 2;

/// The scope of an object, as far as the caller knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope<'a> {
    /// The organization itself.
    Organization,
    /// The project with this ID.
    Project(&'a str),
    /// Either; only the object's ID is known.
    Unknown,
}

/// A list that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Listing {
    /// All objects of the organization, those of its projects included.
    All,
    /// The objects of one project.
    Project(String),
}

/// What distinguishes the object to read.
#[derive(Debug)]
pub(super) enum Key<'a, O: Object> {
    Id(&'a str),
    Place(&'a O::Place),
}

// Not derived, which would ask for objects that can be copied.
impl<O: Object> Clone for Key<'_, O> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<O: Object> Copy for Key<'_, O> {}

/// The next step of a read.
#[derive(Debug, PartialEq)]
pub(super) enum Step<O> {
    /// A list shows the object.
    Found(Box<O>),
    /// Ask for this list, and look again.
    List(Listing),
    /// Read the object by itself.
    Single,
}

/// The lists of one kind of object. All operations of a client share them.
pub struct ListCache<O: Object> {
    state: Mutex<State<O>>,
    /// Held by the operation that asks for a list. If it is stopped or dropped, the next in line takes over.
    turns: Mutex<HashMap<Listing, Arc<tokio::sync::Mutex<()>>>>,
    /// The turn of those who read an object whose scope they don't know, while there is no list of all: each such read
    /// reveals a scope, which may be worth a list for the next.
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

    /// The turn of those who ask for a list.
    pub(super) fn turn(&self, listing: &Listing) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(turns.entry(listing.clone()).or_default())
    }
}

/// Whether a list may be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Permission {
    #[default]
    Now,
    NotBefore(Instant),
    Never,
}

/// What is known of one list.
#[derive(Debug)]
struct Kept<O> {
    list: Option<List<O>>,
    permission: Permission,
    failures: u32,
    /// Whether it last failed because of the rate limit.
    is_limited: bool,
}

impl<O> Default for Kept<O> {
    fn default() -> Self {
        Self { list: None, permission: Permission::Now, failures: 0, is_limited: false }
    }
}

#[derive(Debug)]
struct List<O> {
    /// Sorted by their IDs, as [`compare_ids`] does: a map of thousands would take twice the memory.
    objects: Vec<O>,
    /// How many writes of this process were finished before it was asked for.
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

/// The lists, and the reads that show which lists are worth a call.
#[derive(Debug)]
pub(super) struct State<O: Object> {
    kept: HashMap<Listing, Kept<O>>,
    /// Reads since the last write of this process, by what was known of the scope; `None` if nothing was. A write makes
    /// the lists useless, so they have to be worth their calls again.
    reads: HashMap<Option<Home>, u32>,
    total: u32,
    /// Reads of a project that the list of all didn't show.
    missed: HashMap<String, u32>,
    /// Objects of unknown scope that were read by themselves, by the scope that they turned out to have.
    revealed: HashMap<Home, u32>,
    /// How many writes were finished when the counts began.
    writes: u64,
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
        }
    }
}

impl<O: Object> State<O> {
    /// Counts a read that began after `writes` writes.
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

    /// Whether so few objects were read so far that it is worth waiting a moment for others.
    pub(super) fn is_early(&self) -> bool {
        self.total <= SINGLE_READS
    }

    /// An object of unknown scope was read by itself, and turned out to be in `project_id`.
    pub(super) fn reveal(&mut self, project_id: Option<&str>) {
        *self.revealed.entry(project_id.map(str::to_owned)).or_default() += 1;
    }

    /// Where to get an object from, for a read that began after `writes` writes.
    pub(super) fn step(&self, key: Key<'_, O>, scope: Scope<'_>, writes: u64, now: Instant) -> Step<O> {
        for listing in self.covering(scope) {
            if let Some(object) = self.fresh(&listing, writes, now).and_then(|list| list.get(key)) {
                return if object.is_whole() { Step::Found(Box::new(object.clone())) } else { Step::Single };
            }
        }
        if self.is_early() {
            return Step::Single;
        }
        let wanted = self.wanted(scope, writes, now).into_iter();
        // A fresh list has just not shown it.
        let mut wanted = wanted.filter(|listing| self.fresh(listing, writes, now).is_none());
        wanted.find(|listing| self.may_ask(listing, now)).map_or(Step::Single, Step::List)
    }

    /// Whether a list that shows objects of the scope is at hand.
    pub(super) fn is_covered(&self, scope: Scope<'_>, writes: u64, now: Instant) -> bool {
        self.covering(scope).iter().any(|listing| self.fresh(listing, writes, now).is_some())
    }

    /// Whether a list is still wanted when the turn to ask for it comes.
    pub(super) fn is_wanted(&self, listing: &Listing, writes: u64, now: Instant) -> bool {
        self.fresh(listing, writes, now).is_none() && self.may_ask(listing, now)
    }

    /// Whether the list last failed because of the rate limit.
    pub(super) fn is_limited(&self, listing: &Listing) -> bool {
        self.kept.get(listing).is_some_and(|kept| kept.is_limited)
    }

    /// Keeps the result of a list that was asked for after `writes` writes.
    pub(super) fn keep(
        &mut self,
        listing: &Listing,
        result: Result<Vec<O>, Error>,
        writes: u64,
        now: Instant,
    ) {
        let kept = self.kept.entry(listing.clone()).or_default();
        kept.is_limited = matches!(result, Err(Error::RateLimited { .. }));
        match result {
            Ok(mut objects) => {
                objects.sort_unstable_by(|a, b| compare_ids(a.id(), b.id()));
                objects.shrink_to_fit();
                let list = Some(List { objects, writes, received_at: now });
                *kept = Kept { list, ..Kept::default() };
            }
            // It says nothing about those who wait behind.
            Err(Error::Cancelled) => {}
            Err(error) if error.api_kind() == Some(ApiErrorKind::PermissionDenied) => {
                kept.permission = Permission::Never;
            }
            Err(_) => {
                let pause =
                    FIRST_PAUSE.saturating_mul(2_u32.saturating_pow(kept.failures)).min(LONGEST_PAUSE);
                kept.failures += 1;
                kept.permission = Permission::NotBefore(now + pause);
            }
        }
    }

    fn fresh(&self, listing: &Listing, writes: u64, now: Instant) -> Option<&List<O>> {
        let list = self.kept.get(listing)?.list.as_ref()?;
        (list.writes >= writes && now < list.received_at + TTL).then_some(list)
    }

    fn may_ask(&self, listing: &Listing, now: Instant) -> bool {
        match self.kept.get(listing).map(|kept| kept.permission).unwrap_or_default() {
            Permission::Now => true,
            Permission::NotBefore(until) => until <= now,
            Permission::Never => false,
        }
    }

    /// The lists that can show an object of the scope.
    fn covering(&self, scope: Scope<'_>) -> Vec<Listing> {
        match scope {
            Scope::Organization => vec![Listing::All],
            Scope::Project(id) => vec![Listing::Project(id.to_owned()), Listing::All],
            Scope::Unknown => self.kept.keys().cloned().collect(),
        }
    }

    /// The lists that are worth asking for, the best first.
    fn wanted(&self, scope: Scope<'_>, writes: u64, now: Instant) -> Vec<Listing> {
        match scope {
            Scope::Organization => vec![Listing::All],
            Scope::Project(id) => {
                let project = Listing::Project(id.to_owned());
                // Without a list of all, that of the project costs no more than a read.
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
