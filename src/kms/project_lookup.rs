//! Project lookups: each project is read once.

use super::{
    client::Operation,
    error::Error,
    messages,
    project::{Project, ProjectById, ProjectKey},
};

impl Operation {
    /// Looks up a project. Each client reads it once, and shares it between concurrent and later operations.
    ///
    /// # Errors
    /// `Api` with [`UnknownProject`](super::ApiErrorKind::UnknownProject) if there is none, with
    /// [`PermissionDenied`](super::ApiErrorKind::PermissionDenied) if the identity isn't a member of it; and every
    /// other error that a read can end in.
    pub async fn project(&self, key: &ProjectKey) -> Result<Project, Error> {
        let projects = self.client.projects();
        let project = projects.read(key).get(&self.run, self.read_project(key)).await?;
        // Secrets may have become known since it was read.
        let project = project.cleaned(&self.client.transport().redactor);
        // A lookup by the other key finds it too.
        let other = match key {
            ProjectKey::Id(_) => ProjectKey::Slug(project.slug.clone()),
            ProjectKey::Slug(_) => ProjectKey::Id(project.id.clone()),
        };
        projects.read(&other).set(project.clone());
        Ok(project)
    }

    /// The slugs of a project's environments, if this one isn't among them. `None` if it is, or if the
    /// project can't be read.
    pub async fn environments_without(&self, project_id: &str, environment: &str) -> Option<Vec<String>> {
        let project = self.project(&ProjectKey::Id(project_id.to_owned())).await.ok()?;
        let slugs: Vec<_> = project.environments.into_iter().map(|environment| environment.slug).collect();
        let is_missing = !slugs.is_empty() && slugs.iter().all(|slug| slug != environment);
        is_missing.then_some(slugs)
    }

    async fn read_project(&self, key: &ProjectKey) -> Result<Project, Error> {
        let requests = key.requests()?;
        let family = &self.client.projects().family;
        let project = match key {
            ProjectKey::Id(_) => self.send_either::<ProjectById>(family, &requests).await?.project,
            ProjectKey::Slug(_) => self.send_either(family, &requests).await?,
        };
        if key.is_of(&project) {
            Ok(project.cleaned(&self.client.transport().redactor))
        } else {
            Err(requests.newer.unreadable(messages::describes_another("project")))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::*;
    use crate::kms::{
        ApiErrorKind, Client, Reason,
        test_server::{Reply, Seen, Server},
    };

    const ID: &str = "3f0c5c1e-9d0f-4d43-8c6e-6a8f7f4f1a01";

    fn by_slug() -> ProjectKey {
        ProjectKey::Slug("analytics".to_owned())
    }

    fn by_id() -> ProjectKey {
        ProjectKey::Id(ID.to_owned())
    }

    fn analytics() -> Value {
        json!({"_id": ID, "id": ID, "name": "Analytics", "slug": "analytics", "description": null,
            "type": "secret-manager", "orgId": "org-1", "version": 3,
            "environments": [{"id": "e1", "slug": "dev", "name": "Development"}, {"id": "e2", "slug": "prod", "name": "Production"}]})
    }

    fn unknown() -> Reply {
        Reply::error(404, "NotFound", "Project with slug 'analytics' not found")
    }

    fn over_newer_routes(seen: &Seen) -> Reply {
        match seen.target.as_str() {
            "/api/v1/projects/slug/analytics" => Reply::json(200, analytics()),
            target if target == format!("/api/v1/projects/{ID}") => {
                Reply::json(200, json!({"project": analytics()}))
            }
            other => panic!("{other}"),
        }
    }

    /// Concurrent reads, each in its own operation.
    async fn read_all(client: &Client, keys: &[ProjectKey]) -> Vec<Result<Project, Error>> {
        let reads: Vec<_> = keys
            .iter()
            .map(|key| {
                let (client, key) = (client.clone(), key.clone());
                tokio::spawn(async move { client.operation(Default::default()).project(&key).await })
            })
            .collect();
        let mut results = Vec::new();
        for read in reads {
            results.push(read.await.unwrap());
        }
        results
    }

    #[tokio::test(start_paused = true)]
    async fn a_project_is_found_by_slug_and_by_id() {
        for key in [by_slug(), by_id()] {
            let server = Server::start(|seen, _| over_newer_routes(seen)).await;
            let project = server.operation().project(&key).await.unwrap();
            assert_eq!((project.id.as_str(), project.slug.as_str()), (ID, "analytics"));
            assert_eq!((project.description, project.kind.as_deref()), (None, Some("secret-manager")));
            let environments: Vec<_> =
                project.environments.iter().map(|it| (it.slug.as_str(), it.name.as_str())).collect();
            assert_eq!(environments, [("dev", "Development"), ("prod", "Production")]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_read_serves_all_that_ask_for_a_project() {
        let server = Server::start(|seen, _| over_newer_routes(seen).after(Duration::from_secs(2))).await;
        let client = server.client();
        for result in read_all(&client, &vec![by_slug(); 100]).await {
            assert_eq!(result.unwrap().id, ID);
        }
        assert_eq!(server.count("GET"), 1);
        // Later too, and by its other key.
        for result in read_all(&client, &[by_slug(), by_id()]).await {
            assert_eq!(result.unwrap().name, "Analytics");
        }
        assert_eq!(server.count("GET"), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_is_shared_by_those_who_wait_and_not_remembered() {
        let server = Server::start(|seen, _| {
            let reply = if seen.earlier == 0 { unknown() } else { over_newer_routes(seen) };
            reply.after(Duration::from_secs(2))
        })
        .await;
        let client = server.client();
        for result in read_all(&client, &vec![by_slug(); 20]).await {
            assert_eq!(result.unwrap_err().api_kind(), Some(ApiErrorKind::UnknownProject));
        }
        assert_eq!(server.count("GET"), 1);
        assert_eq!(client.operation(Default::default()).project(&by_slug()).await.unwrap().id, ID);
        assert_eq!(server.count("GET"), 2);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_stops_nobody_else() {
        let server = Server::start(|seen, _| over_newer_routes(seen).after(Duration::from_secs(5))).await;
        let client = server.client();
        let stop = tokio_util::sync::CancellationToken::new();
        let first = {
            let operation = client.operation(stop.clone());
            tokio::spawn(async move { operation.project(&by_slug()).await })
        };
        tokio::time::sleep(Duration::from_secs(1)).await;
        let second = tokio::spawn({
            let operation = client.operation(Default::default());
            async move { operation.project(&by_slug()).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        stop.cancel();
        assert!(matches!(first.await.unwrap(), Err(Error::Cancelled)));
        assert_eq!(second.await.unwrap().unwrap().id, ID);
    }

    #[tokio::test(start_paused = true)]
    async fn older_servers_have_other_routes_to_it() {
        let server = Server::start(|seen, _| {
            // A project from a server without types and descriptions.
            let mut project = analytics();
            project
                .as_object_mut()
                .unwrap()
                .retain(|name, _| !["type", "description"].contains(&name.as_str()));
            match seen.target.as_str() {
                "/api/v2/workspace/analytics" => Reply::json(200, project),
                target if target == format!("/api/v1/workspace/{ID}") => {
                    Reply::json(200, json!({"workspace": project}))
                }
                _ => Reply::no_route(),
            }
        })
        .await;
        let client = server.client();
        let project = client.operation(Default::default()).project(&by_slug()).await.unwrap();
        assert_eq!((project.id.as_str(), project.kind), (ID, None));
        let other = ProjectKey::Id("other".to_owned());
        let error = client.operation(Default::default()).project(&other).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::NoRoute)), "{error:?}");
        let asked: Vec<_> = server.seen().into_iter().filter(|seen| seen.method == "GET").collect();
        let asked: Vec<_> = asked.iter().map(|seen| seen.target.as_str()).collect();
        let expected = [
            "/api/v1/projects/slug/analytics",
            "/api/v2/workspace/analytics",
            "/api/v1/workspace/other",
            "/api/v1/projects/other",
        ];
        assert_eq!(asked, expected);

        let server = Server::start(move |seen, _| match seen.target.starts_with("/api/v1/workspace/") {
            true => Reply::json(200, json!({"workspace": analytics()})),
            false => Reply::no_route(),
        })
        .await;
        assert_eq!(server.operation().project(&by_id()).await.unwrap().name, "Analytics");
    }

    #[tokio::test(start_paused = true)]
    async fn another_project_than_asked_for_is_refused() {
        let server = Server::start(|_, _| Reply::json(200, analytics())).await;
        let key = ProjectKey::Slug("platform".to_owned());
        let error = server.operation().project(&key).await.unwrap_err();
        assert!(matches!(error.reason(), Some(Reason::Unreadable { .. })), "{error:?}");
    }
}
