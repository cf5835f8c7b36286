//! Reads objects individually, as lists, and from cached lists.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    api_error::ApiErrorKind,
    attempt::Received,
    client::{Listed, Operation},
    error::Error,
    fate::Reason,
    history::History,
    list_cache::{Key, Listing, Scope, Step},
    messages,
    object::{MAX_ENTRIES, Many, Object, One, clean, is_id},
    request::Request,
};

/// How long the first reads wait for others, after the login. Callers that read many objects start all reads within a
/// few milliseconds.
const BATCH_DELAY: Duration = Duration::from_millis(10);

/// How long to wait for another read to reveal a scope. It may hang, or wait for the rate limit.
const SEARCH_TURN: Duration = Duration::from_secs(1);

/// The time limit for one attempt of a cached list, and its repeats. Both attempts together take no longer than one
/// read may, so no caller waits longer for the list than for a read.
const LIST_TIMEOUT: Duration = Duration::from_secs(15);
const LIST_REPEATS: u32 = 1;

/// Which objects to list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListScope<'a> {
    /// Those of the organization itself.
    Organization,
    /// Those of the project with this ID.
    Project(&'a str),
    /// Those of the organization and of all its projects.
    All,
}

/// A list of objects, in the server's order.
#[derive(Debug, Clone, PartialEq)]
pub struct ObjectList<O> {
    /// The objects.
    pub objects: Vec<O>,
    /// How many entries were skipped because they are unreadable or of another kind.
    pub unreadable: usize,
}

/// What a later create will find.
#[derive(Debug, Clone, PartialEq)]
pub enum Forecast<O> {
    /// This object is at the place.
    Taken(Box<O>),
    /// The scope exists, and its list shows no object at the place.
    Free,
    /// The objects of the scope can't be listed.
    Unknown,
}

impl Operation {
    /// Reads an object from the server.
    ///
    /// # Errors
    /// `Api` with [`NotFound`](ApiErrorKind::NotFound) if the KMS reports that there is none, with
    /// [`OtherApp`](ApiErrorKind::OtherApp) if it is of another app, and with [`Invalid`](ApiErrorKind::Invalid) if
    /// `id` isn't a UUID; and all other errors of reads.
    pub async fn get<O: Object>(&self, id: &str) -> Result<O, Error> {
        Ok(self.get_received(id).await?.value)
    }

    /// Reads the object at a place from the server.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn get_by_name<O: Object>(&self, place: &O::Place) -> Result<O, Error> {
        Ok(self.get_received_by_name(place).await?.value)
    }

    /// Lists objects.
    ///
    /// # Errors
    /// `Api` with [`UnknownProject`](ApiErrorKind::UnknownProject) if there is no such project; and all other errors of
    /// reads.
    pub async fn list<O: Object>(&self, scope: ListScope<'_>) -> Result<ObjectList<O>, Error> {
        let project_id = match scope {
            ListScope::Project(id) => Some(id),
            ListScope::Organization | ListScope::All => None,
        };
        let mut list = self.send_list(&list_request::<O>(project_id)?).await?;
        if scope == ListScope::Organization {
            // Without a project, the server includes the objects of all projects.
            list.objects.retain(|object: &O| object.project_id().is_none());
        }
        Ok(list)
    }

    /// Reads an object from a cached list, which is requested if many objects are read. The list may be 30 seconds old,
    /// but is newer than every write of this process that finished before the call.
    ///
    /// # Errors
    /// As [`get`](Self::get). A missing object is never concluded from a list.
    pub async fn read<O: Listed>(&self, id: &str, scope: Scope<'_>) -> Result<O, Error> {
        self.read_listed(Key::Id(id), scope).await
    }

    /// Reads the object at a place as [`read`](Self::read) does.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn read_by_name<O: Listed>(&self, place: &O::Place) -> Result<O, Error> {
        let scope = O::project_of(place).map_or(Scope::Organization, Scope::Project);
        self.read_listed(Key::Place(place), scope).await
    }

    /// Checks what a later create will find in a scope and, if it is known, at its place. All checks in a scope share
    /// one list, of any age. So the result may be out of date.
    ///
    /// # Errors
    /// The error of the list, for all checks that share it. A missing permission to list is
    /// [`Forecast::Unknown`] instead.
    pub async fn forecast<O: Listed>(
        &self,
        scope: Scope<'_>,
        place: Option<&O::Place>,
    ) -> Result<Forecast<O>, Error> {
        let cache = O::lists(&self.client);
        let Some(listing) = cache.state().listing_for_create(scope) else { return Ok(Forecast::Unknown) };
        if let Err(error) = self.ensure_list::<O>(&listing).await {
            return match error.api_kind() {
                Some(ApiErrorKind::PermissionDenied) => Ok(Forecast::Unknown),
                _ => Err(error),
            };
        }
        let existing = place.and_then(|place| cache.state().find(&listing, place));
        let taken = |existing| Forecast::Taken(Box::new(self.cleaned(existing)));
        Ok(existing.map_or(Forecast::Free, taken))
    }

    /// Looks for an object at a place, to predict what a later create will find there: in the list that
    /// [`forecast`](Self::forecast) uses, and by itself where the list may not show it.
    ///
    /// # Errors
    /// As [`get`](Self::get), except that a missing object is `None`.
    pub async fn forecast_by_name<O: Listed>(&self, place: &O::Place) -> Result<Option<O>, Error> {
        let scope = O::project_of(place).map_or(Scope::Organization, Scope::Project);
        match self.forecast::<O>(scope, Some(place)).await {
            Ok(Forecast::Taken(object)) if object.is_whole() => return Ok(Some(*object)),
            Ok(Forecast::Free) if !O::lists(&self.client).state().may_confirm() => return Ok(None),
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            Ok(Forecast::Taken(_) | Forecast::Free | Forecast::Unknown) | Err(_) => {}
        }
        match self.get_by_name(place).await {
            Ok(object) => Ok(Some(object)),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn get_received<O: Object>(&self, id: &str) -> Result<Received<O>, Error> {
        let request = Request::get(format!("{}/:id", O::COLLECTION), &[id])?;
        self.one(&request, &mut History::default(), |object: &O| object.id().eq_ignore_ascii_case(id)).await
    }

    pub(super) async fn get_received_by_name<O: Object>(
        &self,
        place: &O::Place,
    ) -> Result<Received<O>, Error> {
        let request = O::get_by_name(place)?;
        self.one(&request, &mut History::default(), |object: &O| object.is_at(place)).await
    }

    /// Sends a request whose response is one object, the expected one. Secrets are removed from its fields
    /// after the check, which may need one of them.
    pub(super) async fn one<O: Object>(
        &self,
        request: &Request,
        history: &mut History,
        is_expected: impl Fn(&O) -> bool,
    ) -> Result<Received<O>, Error> {
        let Received { value: One(mut object), sent_at, clock } =
            self.send_noting::<One<O>>(request, history).await?;
        if !object.is_of_kind() {
            return Err(history.add(request.unreadable(messages::describes_another_kind()), sent_at));
        }
        if !is_id(object.id()) {
            return Err(history.add(request.unreadable(messages::no_valid_id()), sent_at));
        }
        let redactor = &self.client.transport().redactor;
        if redactor.is_in(object.id()) {
            return Err(history.add(request.unreadable(messages::secret_in_id()), sent_at));
        }
        if !is_expected(&object) {
            return Err(history.add(request.unreadable(messages::describes_another("object")), sent_at));
        }
        clean(&mut object, redactor);
        Ok(Received { value: object, sent_at, clock })
    }

    /// An object of a list that was kept, without the secrets that became known later.
    fn cleaned<O: Object>(&self, mut object: O) -> O {
        clean(&mut object, &self.client.transport().redactor);
        object
    }

    async fn send_list<O: Object>(&self, request: &Request) -> Result<ObjectList<O>, Error> {
        let Many { mut objects, mut unreadable, is_too_long }: Many<O> =
            self.send(request).await.map_err(|error| match error {
                // A list always exists, so the project is missing.
                Error::Request(mut failed) => {
                    if let Reason::Api(error) = &mut failed.reason
                        && error.kind == ApiErrorKind::NotFound
                    {
                        error.kind = ApiErrorKind::UnknownProject;
                    }
                    Error::Request(failed)
                }
                other => other,
            })?;
        if is_too_long {
            return Err(request.unreadable(messages::too_many_entries(MAX_ENTRIES)));
        }
        let redactor = &self.client.transport().redactor;
        unreadable += objects.len();
        objects.retain(|object| !redactor.is_in(object.id()));
        unreadable -= objects.len();
        objects.iter_mut().for_each(|object| clean(object, redactor));
        Ok(ObjectList { objects, unreadable })
    }

    async fn read_listed<O: Listed>(&self, key: Key<'_, O>, scope: Scope<'_>) -> Result<O, Error> {
        let writes = self.client.finished_writes();
        self.gather(key, scope, writes).await?;
        if let Some(object) = self.look_up(key, scope, writes).await? {
            return Ok(object);
        }
        match (key, scope) {
            (Key::Place(place), _) => self.get_by_name(place).await,
            (Key::Id(id), Scope::Unknown) => self.search(id, writes).await,
            (Key::Id(id), _) => self.get(id).await,
        }
    }

    /// Counts a lookup. While there are few, waits a moment for others, so that one list can serve all of them.
    async fn gather<O: Listed>(&self, key: Key<'_, O>, scope: Scope<'_>, writes: u64) -> Result<(), Error> {
        let cache = O::lists(&self.client);
        cache.state().count(key, scope, writes, Instant::now());
        if cache.state().is_early() {
            // Other reads arrive during the login and shortly after.
            self.client.session().token(&self.run).await?;
            self.run.unless_stopped(tokio::time::sleep(BATCH_DELAY)).await?;
        }
        Ok(())
    }

    /// Looks up an object in the lists, and requests a list if it is worthwhile. `None`: read the object individually.
    async fn look_up<O: Listed>(
        &self,
        key: Key<'_, O>,
        scope: Scope<'_>,
        writes: u64,
    ) -> Result<Option<O>, Error> {
        let cache = O::lists(&self.client);
        let mut waited_for_lists = Duration::ZERO;
        loop {
            let step = cache.state().step(key, scope, writes, Instant::now());
            match step {
                Step::Found(object) => return Ok(Some(self.cleaned(*object))),
                Step::Single => return Ok(None),
                // A list that hung has taken the time that one read may take.
                Step::List(_) if waited_for_lists >= self.list_timeout() => return Ok(None),
                // After this, the list is fresh or isn't requested again soon.
                Step::List(listing) => {
                    let since = Instant::now();
                    self.ask_for_list::<O>(&listing, writes).await?;
                    waited_for_lists += since.elapsed();
                }
            }
        }
    }

    /// The time limit for one attempt of a cached list.
    fn list_timeout(&self) -> Duration {
        (self.client.transport().config.request_timeout / (LIST_REPEATS + 1)).min(LIST_TIMEOUT)
    }

    /// Requests a list, unless it was received at any time.
    ///
    /// # Errors
    /// Those of the request, also if another operation made it a moment ago.
    async fn ensure_list<O: Listed>(&self, listing: &Listing) -> Result<(), Error> {
        let cache = O::lists(&self.client);
        let turn = cache.turn(listing);
        let _turn = self.run.unless_stopped(turn.lock()).await?;
        if cache.state().is_received(listing) {
            return Ok(());
        }
        let failure = cache.state().failure(listing, Instant::now());
        match failure {
            Some(error) => Err(error),
            None => self.request_list::<O>(listing).await,
        }
    }

    /// Requests a list, unless another operation does.
    async fn ask_for_list<O: Listed>(&self, listing: &Listing, writes: u64) -> Result<(), Error> {
        let cache = O::lists(&self.client);
        let waiting_since = Instant::now();
        let turn = cache.turn(listing);
        let _turn = self.run.unless_stopped(turn.lock()).await?;
        if !cache.state().is_wanted(listing, writes, Instant::now()) {
            if cache.state().is_limited(listing) {
                // The other operation's budget ran out. The time spent waiting for it counts against this one's.
                self.run.add_waited(waiting_since.elapsed());
            }
            return Ok(());
        }
        match self.request_list::<O>(listing).await {
            Err(Error::Cancelled) => Err(Error::Cancelled),
            // The objects are read individually instead.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Requests a list, and stores the result for all operations.
    async fn request_list<O: Listed>(&self, listing: &Listing) -> Result<(), Error> {
        let project_id = match listing {
            Listing::All => None,
            Listing::Project(id) => Some(id.as_str()),
        };
        let request = list_request::<O>(project_id)?.giving_up_after(LIST_REPEATS, self.list_timeout());
        let writes = self.client.finished_writes();
        let result = self.send_list::<O>(&request).await;
        match &result {
            Ok(list) if list.unreadable > 0 => tracing::debug!(
                entries = list.unreadable,
                "the list has unreadable entries, which are read individually"
            ),
            Ok(_) => {}
            Err(error) => tracing::debug!(error = super::error::report(error), "could not list the objects"),
        }
        let outcome = result.as_ref().map(|_| ()).map_err(Error::clone);
        O::lists(&self.client).state().keep(listing, result.map(|list| list.objects), writes, Instant::now());
        outcome
    }

    /// Reads an object of unknown scope individually. Such reads run one after the other, unless one takes long,
    /// because each may reveal the scope whose list has the others.
    async fn search<O: Listed>(&self, id: &str, writes: u64) -> Result<O, Error> {
        let cache = O::lists(&self.client);
        let turn = tokio::time::timeout(SEARCH_TURN, cache.searching.lock());
        let _turn = self.run.unless_stopped(turn).await?;
        if let Some(object) = self.look_up(Key::Id(id), Scope::Unknown, writes).await? {
            return Ok(object);
        }
        let object: O = self.get(id).await?;
        cache.state().reveal(object.project_id());
        Ok(object)
    }
}

fn list_request<O: Object>(project_id: Option<&str>) -> Result<Request, Error> {
    Ok(Request::get(O::COLLECTION, &[])?.with_query("projectId", project_id).of_list())
}
