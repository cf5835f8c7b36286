//! Every text of this layer as users read it. A snapshot holds all texts of one module.

use std::{io, sync::Arc, time::Duration};

use http::{Method, StatusCode};

use super::{
    actions, airflow, arguments,
    attribute_map::{self, AttributeMap},
    failures, lifecycle, rotation, rules, settings,
};
use crate::{
    kms::{
        self, AdoptError, ApiError, ApiErrorKind, AuthError, AwsError, Cause, CertificateProblem,
        CreateError, Destination, Effect, Error, Existing, HeaderProblem, HostError, Issue, Obstacle, Reason,
        Redirect, RedirectKind, RequestError, Reservation, Scope,
    },
    plugin::{diagnostics::Diagnostics, path::Path},
    provider::{
        dbt_connection::{DbtConnection, DbtConnectionModel},
        dbt_service_token_rotation::{ServiceTokenRotation, model::RotationModel},
        lifecycle::{ManagedObject as _, ObjectModel as _},
    },
};

const ID: &str = "6f1f7c0e-6a5b-4d0e-9c3a-0123456789ab";

/// The texts of a module, each under the name of its case.
#[derive(Default)]
struct Texts(String);

impl Texts {
    fn text(&mut self, case: &str, text: &str) {
        self.0 += &format!("# {case}\n{text}\n\n");
    }

    fn add(&mut self, case: &str, diagnostics: &Diagnostics) {
        assert!(!diagnostics.is_empty(), "{case}");
        for diagnostic in diagnostics.iter() {
            let attribute =
                diagnostic.attribute.as_ref().map(|path| format!(" on {path}")).unwrap_or_default();
            let severity = format!("{:?}", diagnostic.severity).to_lowercase();
            self.text(case, &format!("{severity}{attribute}: {}\n{}", diagnostic.summary, diagnostic.detail));
        }
    }

    /// For a text that is added to diagnostics.
    fn added(&mut self, case: &str, add: impl FnOnce(&mut Diagnostics)) {
        let mut diagnostics = Diagnostics::new();
        add(&mut diagnostics);
        self.add(case, &diagnostics);
    }
}

/// Texts that depend on little or nothing, each with its case.
fn listed(cases: &[(&str, &str)]) -> String {
    let mut texts = Texts::default();
    cases.iter().for_each(|(case, text)| texts.text(case, text));
    texts.0
}

fn connection() -> kms::DbtConnection {
    serde_json::from_value(serde_json::json!({
        "id": ID, "name": "orders", "projectId": null, "description": null, "version": 1, "orgId": "o",
        "createdAt": "2026-01-01T00:00:00.000Z", "updatedAt": "2026-01-02T00:00:00.000Z", "method": "api-token",
        "credentialsHash": "0123", "credentials": {"instanceUrl": "https://cloud.getdbt.com", "accountId": "1"},
    }))
    .unwrap()
}

fn token_rotation() -> kms::ServiceTokenRotation {
    serde_json::from_value(serde_json::json!({
        "id": ID, "name": "airflow", "projectId": "p", "description": null, "connectionId": ID,
        "environment": {"slug": "prod"}, "folder": {"path": "/dbt"}, "secretsMapping": {"serviceToken": "DBT_TOKEN"},
        "parameters": {"tokenName": "airflow", "permissionGrants": []}, "rotationInterval": 30,
        "rotateAtUtc": {"hours": 0, "minutes": 0}, "isAutoRotationEnabled": true, "rotationStatus": "failed",
        "lastRotationMessage": "dbt is down", "lastRotatedAt": "2026-01-01T00:00:00.000Z",
        "nextRotationAt": "2026-02-01T00:00:00.000Z", "createdAt": "2026-01-01T00:00:00.000Z",
        "updatedAt": "2026-01-02T00:00:00.000Z",
    }))
    .unwrap()
}

fn failed(effect: Effect, reason: Reason) -> Error {
    let (method, route) = (Method::POST, "/api/v1/app-connections/dbt".to_owned());
    Error::Request(Box::new(RequestError { method, route, effect, since: None, proxy: None, reason }))
}

fn cause() -> Cause {
    Arc::new(io::Error::other("connection reset"))
}

fn host() -> String {
    "https://kms.example.com".to_owned()
}

fn lost() -> Error {
    failed(Effect::Write, Reason::NoResponse { host: host(), source: cause() })
}

fn response(kind: ApiErrorKind, status: u16) -> ApiError {
    let path = vec!["credentials".to_owned(), "accountId".to_owned()];
    let issue = Issue { path, message: "Account ID required".to_owned() };
    ApiError {
        kind,
        status: StatusCode::from_u16(status).unwrap(),
        message: "The words of the server.".to_owned(),
        issues: if kind == ApiErrorKind::Invalid { vec![issue] } else { Vec::new() },
        more_issues: 0,
        req_id: Some("req-1".to_owned()),
    }
}

fn refused(kind: ApiErrorKind, status: u16) -> Error {
    failed(Effect::Write, Reason::Api(Box::new(response(kind, status))))
}

#[test]
fn failures() {
    use ApiErrorKind::{
        ConnectionOfOtherApp, ConnectionOfOtherProject, CredentialsRefused, DbtUnavailable, InProgress,
        InUse, InstanceUrlRefused, Invalid, NameTaken, NotFound, Other, OtherApp, PermissionDenied,
        PlanRestricted, ReferenceDenied, RotationFailed, SecretTaken, TokenUnconfirmed, Unauthorized,
        UnknownAccount, UnknownFolder, UnknownProject, ValidationFailed, ValueHidden,
    };
    let mut texts = Texts::default();
    let task = "create the dbt connection \"orders\"";
    let of_connection = lifecycle::attributes::<DbtConnection>();
    let of_rotation = lifecycle::attributes::<ServiceTokenRotation>();
    let mut failure = |case: &str, error: &Error, attributes: AttributeMap| {
        texts.add(case, &failures::failure(task, error, attributes));
    };
    for (kind, status) in [
        (CredentialsRefused, 400),
        (UnknownAccount, 400),
        (DbtUnavailable, 400),
        (InstanceUrlRefused, 400),
        (ValidationFailed, 400),
        (InUse, 400),
        (Invalid, 422),
        (NameTaken, 400),
        (NotFound, 404),
        (OtherApp, 400),
        (PermissionDenied, 403),
        (Unauthorized, 401),
        (UnknownProject, 404),
        (Other, 400),
        (Other, 500),
    ] {
        failure(&format!("{kind:?} {status}"), &refused(kind, status), of_connection);
    }
    for (kind, status) in [
        (CredentialsRefused, 400),
        (UnknownAccount, 400),
        (DbtUnavailable, 400),
        (TokenUnconfirmed, 400),
        (InstanceUrlRefused, 400),
        (ValidationFailed, 400),
        (InProgress, 400),
        (OtherApp, 400),
        (PlanRestricted, 400),
        (RotationFailed, 500),
        (SecretTaken, 400),
        (UnknownFolder, 404),
        (ValueHidden, 403),
    ] {
        failure(&format!("rotation: {kind:?} {status}"), &refused(kind, status), of_rotation);
    }
    let of_certificates = [
        CertificateProblem::UnknownIssuer,
        CertificateProblem::SelfSigned,
        CertificateProblem::Authority,
        CertificateProblem::WrongName,
        CertificateProblem::NoName,
        CertificateProblem::Expired,
        CertificateProblem::NotYetValid,
        CertificateProblem::Revoked,
        CertificateProblem::Version,
        CertificateProblem::Purpose,
        CertificateProblem::CriticalExtension,
        CertificateProblem::Signature,
        CertificateProblem::Algorithm,
        CertificateProblem::Constraint,
        CertificateProblem::Malformed,
        CertificateProblem::Other,
    ];
    let others = [
        Obstacle::NotTls,
        Obstacle::NoCommonTls,
        Obstacle::UnknownName,
        Obstacle::ClientCertificate,
        Obstacle::AccessDenied,
        Obstacle::NotHttp,
        Obstacle::UnknownHost,
        Obstacle::UnknownProxy,
        Obstacle::ProxyLogin,
    ];
    let obstacles = of_certificates.map(Obstacle::Certificate).into_iter().chain(others);
    for obstacle in obstacles.map(Some).chain([None]) {
        let error = failed(Effect::Write, Reason::NoConnection { host: host(), obstacle, source: cause() });
        failure(&format!("NoConnection {obstacle:?}"), &error, of_connection);
    }
    for reason in [
        Reason::Unprocessed { host: host(), source: cause() },
        Reason::NoResponse { host: host(), source: cause() },
        Reason::NoRoute,
        Reason::Unreadable { problem: "a field is missing".to_owned() },
    ] {
        failure(&format!("{reason:?}"), &failed(Effect::Write, reason), of_connection);
    }
    let sent = ["X-Gateway-Id".to_owned(), "X-Gateway-Secret".to_owned()];
    let page = |status: u16, problem, custom_headers: &[String]| {
        let destination = Destination { host: host(), custom_headers: custom_headers.to_vec() };
        Reason::Page { destination, status: StatusCode::from_u16(status).unwrap(), problem }
    };
    let redirected = |to: Option<String>, kind, custom_headers: &[String]| {
        let destination = Destination { host: host(), custom_headers: custom_headers.to_vec() };
        Reason::Redirected { destination, status: StatusCode::FOUND, redirect: Redirect { to, kind } }
    };
    let new = || "https://new.example.com".to_owned();
    let elsewhere = RedirectKind::Login { is_elsewhere: true };
    let login = RedirectKind::Login { is_elsewhere: false };
    for (case, reason) in [
        ("Page 200", page(200, Some("it is not JSON"), &[])),
        ("Page 401", page(401, None, &[])),
        ("Page 401, one custom header", page(401, None, &sent[..1])),
        ("Page 501", page(501, None, &[])),
        ("Page 502", page(502, None, &sent)),
        ("Redirected Login elsewhere", redirected(Some(new()), elsewhere.clone(), &[])),
        ("Redirected Login elsewhere, two custom headers", redirected(Some(new()), elsewhere, &sent)),
        ("Redirected Login", redirected(Some(host() + "/login"), login, &[])),
        ("Redirected Moved", redirected(Some(new()), RedirectKind::Moved { host: new() }, &[])),
        ("Redirected Https", redirected(Some(host()), RedirectKind::Https { host: host() }, &[])),
        ("Redirected OtherBase", {
            let kind = RedirectKind::OtherBase { host: host() + "/kms" };
            redirected(Some(host() + "/kms/api/v1/app-connections/dbt"), kind, &[])
        }),
        ("Redirected Unclear", redirected(Some(host() + "/elsewhere"), RedirectKind::Unclear, &[])),
        ("Redirected without target", redirected(None, RedirectKind::Unclear, &[])),
    ] {
        failure(case, &failed(Effect::Write, reason), of_connection);
    }
    failure("NoRoute, for a feature", &failed(Effect::Write, Reason::NoRoute), of_rotation);
    failure("Unreachable", &Error::Unreachable { source: Box::new(lost()) }, of_connection);
    failure(
        "Config",
        &Error::Config { message: "could not set up the HTTP client".to_owned(), source: None },
        of_connection,
    );
    failure("NoTrustStore", &Error::NoTrustStore, of_connection);
    let (waited, asked) = (Duration::from_secs(600), Duration::from_secs(60));
    let request = "GET /api/v1/app-connections/dbt".to_owned();
    failure("RateLimited", &Error::RateLimited { request, waited, asked, message: None }, of_connection);
    failure("Cancelled", &Error::Cancelled, of_connection);

    let source = || Box::new(response(Unauthorized, 401));
    for (case, error) in [
        ("LoginRefused", AuthError::LoginRefused { method: "Universal Auth", source: source() }),
        ("LockedOut", AuthError::LockedOut { method: "Universal Auth", source: source() }),
        ("TokenRefused", AuthError::TokenRefused { source: source() }),
        ("FreshTokensRefused", AuthError::FreshTokensRefused { source: source() }),
        ("ServiceAccountToken", AuthError::ServiceAccountToken { path: "/token".into(), source: cause() }),
        ("AwsIdentityUnverified", AuthError::AwsIdentityUnverified { source: source() }),
        ("TokenMalformed", AuthError::TokenMalformed),
        ("Aws NotFound", AwsError::NotFound { tried: vec!["environment: not set".to_owned()] }.into()),
        ("Aws Region", AwsError::Region { region: "nowhere!".to_owned() }.into()),
        ("Aws TimedOut", AwsError::TimedOut.into()),
    ] {
        failure(case, &error.into(), of_connection);
    }
    let of_scope = |error: &Error, attributes: AttributeMap, scope: Scope<'_>| {
        failures::failure_in(task, error, attributes, scope)
    };
    for kind in [UnknownProject, PermissionDenied] {
        for scope in [Scope::Organization, Scope::Project(ID), Scope::Project("analytics"), Scope::Unknown] {
            let failed = of_scope(&refused(kind, 403), of_connection, scope);
            texts.add(&format!("{kind:?} in {scope:?}"), &failed);
        }
    }
    let about_connection = |kind: ApiErrorKind, status: u16, message: &str| {
        let response = ApiError { message: message.to_owned(), ..response(kind, status) };
        failed(Effect::Write, Reason::Api(Box::new(response)))
    };
    for error in [
        about_connection(NotFound, 404, "Could not find App Connection with ID x"),
        about_connection(PermissionDenied, 403, "You are not allowed to connect on app-connections"),
        refused(ConnectionOfOtherProject, 400),
        refused(ConnectionOfOtherApp, 400),
    ] {
        let case = format!("connection of a rotation: {:?}", error.api_kind());
        texts.add(&case, &of_scope(&error, of_rotation, Scope::Project(ID)));
    }
    let environments = ["dev".to_owned(), "prod".to_owned()];
    for (case, known) in
        [("unknown_environment", &environments[..]), ("unknown_environment, others unknown", &[])]
    {
        let error = refused(UnknownFolder, 400);
        texts.add(case, &failures::unknown_environment(task, "moon", known, &error, of_rotation));
    }
    let of_secret = AttributeMap {
        object: Some("name"),
        folder: Some("folder_path"),
        secret: Some("name"),
        if_missing: attribute_map::DESTROY_WITHOUT_SECRET,
        ..AttributeMap::NONE
    };
    let task = "read the secret \"DBT_TOKEN\"";
    for (kind, status) in [(NotFound, 404), (ReferenceDenied, 403), (UnknownFolder, 404)] {
        texts.add(
            &format!("secret: {kind:?} {status}"),
            &failures::failure(task, &refused(kind, status), of_secret),
        );
    }
    let references: Vec<_> = ('A'..'H').map(|name| format!("${{prod.dbt.{name}}}")).collect();
    for (case, references) in [
        ("unresolved_references", &references[..2]),
        ("unresolved_references, many", &references),
        ("unresolved_references, long", &[format!("${{{}}}", "A".repeat(300))]),
    ] {
        texts.add(case, &failures::unresolved_references(task, references, "name"));
    }
    texts.add("value_hidden", &failures::value_hidden("read the secret \"DBT_TOKEN\"", None, "name"));
    texts.added("slowed_down", |diagnostics| failures::slowed_down(Duration::from_secs(42), diagnostics));
    let placeholders = [Path::attribute("org_id"), Path::attribute("created_at")];
    texts.added("secret_in_response", |d| {
        failures::secret_in_response("the dbt connection \"orders\"", &placeholders, d);
    });
    texts.add("secret_in_place", &failures::secret_in_place("the dbt connection \"orders\"", &placeholders));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn lifecycle() {
    type T = DbtConnection;
    let mut texts = Texts::default();
    let existing = connection();
    let planned = DbtConnectionModel::found(&existing);
    let place = T::place(&planned);
    let mut other = connection();
    other.credentials.account_id = "2".to_owned();
    let name_taken =
        |existing| CreateError::NameTaken { existing, error: refused(ApiErrorKind::NameTaken, 400) };
    let unconfirmed = |found| CreateError::Unconfirmed { found, error: lost() };
    for (case, error) in [
        ("NameTaken Visible, alike", name_taken(Existing::Visible(Box::new(connection())))),
        ("NameTaken Visible, different", name_taken(Existing::Visible(Box::new(other.clone())))),
        ("NameTaken OfOtherApp", name_taken(Existing::OfOtherApp)),
        ("NameTaken NotVisible", name_taken(Existing::NotVisible)),
        ("NameTaken Unknown", name_taken(Existing::Unknown(lost()))),
        ("Unconfirmed, found", unconfirmed(Some(Box::new(connection())))),
        ("Unconfirmed", unconfirmed(None)),
        ("Failed", CreateError::Failed(refused(ApiErrorKind::PermissionDenied, 403))),
    ] {
        texts
            .add(&format!("create_failure {case}"), &lifecycle::create_failure::<T>(&planned, &place, error));
    }
    let of_rotation = RotationModel::found(&token_rotation());
    let place_of_rotation = ServiceTokenRotation::place(&of_rotation);
    texts.add(
        "create_failure of a rotation",
        &lifecycle::create_failure::<ServiceTokenRotation>(
            &of_rotation,
            &place_of_rotation,
            CreateError::Failed(lost()),
        ),
    );
    for (case, error) in [
        ("Unconfirmed", CreateError::Unconfirmed { found: None, error: lost() }),
        ("server error", CreateError::Failed(refused(ApiErrorKind::Other, 500))),
        ("token unconfirmed", CreateError::Failed(refused(ApiErrorKind::TokenUnconfirmed, 400))),
    ] {
        texts.add(
            &format!("create_failure of a rotation, {case}"),
            &lifecycle::create_failure::<ServiceTokenRotation>(&of_rotation, &place_of_rotation, error),
        );
    }
    texts.added("create_still_open", |d| lifecycle::create_still_open::<T>("orders", d));
    texts.add("taken_by_the_replaced", &lifecycle::taken_by_the_replaced::<T>(&place, ID));
    texts.add("taken_by_another", &lifecycle::taken_by_another::<T>(&place, &existing));
    texts.add("adopted_twice", &lifecycle::adopted_twice::<T>(&place, &existing));
    texts.add("planned_twice", &lifecycle::planned_twice::<T>(ID, "orders"));
    texts.add("same_name", &lifecycle::same_name::<T>(&place));
    texts.added("same_new_name", |d| lifecycle::same_new_name::<T>(&place, d));
    texts.add("managed_twice", &lifecycle::managed_twice::<T>(&planned));
    texts.added("taken_in_plan", |d| lifecycle::taken_in_plan::<T>(&planned, &existing, d));
    texts.added("taken_in_plan, different", |d| lifecycle::taken_in_plan::<T>(&planned, &other, d));
    let unknown = refused(ApiErrorKind::UnknownProject, 404);
    let scope = Scope::Project(ID);
    texts.add("prevented_create", &lifecycle::prevented_create::<T>("\"orders\"", scope, &unknown));
    texts.added("will_adopt", |d| lifecycle::will_adopt::<T>(&place, &existing, d));
    texts.added("will_adopt of a rotation", |d| {
        lifecycle::will_adopt::<ServiceTokenRotation>(&place_of_rotation, &token_rotation(), d);
    });
    let differences = T::differences(&planned, &other);
    texts.added("will_not_adopt", |d| lifecycle::will_not_adopt::<T>(&place, &existing, &differences, d));
    texts.added("adoption_unknown", |d| lifecycle::adoption_unknown::<T>(&place, &lost(), d));
    texts.added("adoption_unknown OtherApp", |d| {
        lifecycle::adoption_unknown::<T>(&place, &refused(ApiErrorKind::OtherApp, 400), d);
    });
    texts.add(
        "adopt_failure Managed",
        &lifecycle::adopt_failure::<T>(&place, &existing, &AdoptError::Managed),
    );
    texts
        .add("adopt_failure", &lifecycle::adopt_failure::<T>(&place, &existing, &AdoptError::Failed(lost())));
    texts.add("update_failure", &lifecycle::update_failure::<T>(&planned, &lost(), None));
    texts.add(
        "update_failure, name taken",
        &lifecycle::update_failure::<T>(
            &planned,
            &refused(ApiErrorKind::NameTaken, 400),
            Some((&place, &existing)),
        ),
    );
    texts.add("secret_missing_to_create", &lifecycle::secret_missing_to_create::<T>());
    texts.add("secret_missing_to_update", &lifecycle::secret_missing_to_update::<T>(&planned, &planned));
    let changed = DbtConnectionModel::found(&other);
    texts.add(
        "secret_missing_to_update, account",
        &lifecycle::secret_missing_to_update::<T>(&planned, &changed),
    );
    texts.add("secret_gone", &lifecycle::secret_gone::<T>());
    texts.added("version_without_secret", lifecycle::version_without_secret::<T>);
    texts.added("sent_once", |d| lifecycle::sent_once::<T>("orders", false, false, d));
    texts
        .added("sent_once, with a version, the last", |d| lifecycle::sent_once::<T>("orders", true, true, d));
    texts.added("written_elsewhere, due", |d| lifecycle::written_elsewhere::<T>(&planned, true, d));
    texts.added("written_elsewhere", |d| lifecycle::written_elsewhere::<T>(&planned, false, d));
    texts.added("kept", |d| lifecycle::kept::<T>("orders", ID, d));
    texts.add("no_such_id", &lifecycle::no_such_id::<T>(ID));
    texts.add("nothing_at", &lifecycle::nothing_at::<T>(&place));
    texts.add("nothing_at, rotation", &lifecycle::nothing_at::<ServiceTokenRotation>(&place_of_rotation));
    texts.add("invalid_import", &lifecycle::invalid_import::<T>("a b"));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn odd_values() {
    let mut texts = Texts::default();
    texts.added("only_the_host_is_used", |d| rules::only_the_host_is_used("cloud.getdbt.com", d));
    texts.added("account_is_no_number", rules::account_is_no_number);
    insta::assert_snapshot!(texts.0);
}

#[test]
fn rotation() {
    let mut texts = Texts::default();
    let prior = RotationModel::found(&token_rotation());
    let mut by_hand = prior.clone();
    by_hand.auto_rotation_enabled = crate::plugin::model::Field::Known(false);
    texts.added("last_rotation_failed", |d| rotation::last_rotation_failed(&prior, d));
    texts.added("last_rotation_failed, by hand", |d| rotation::last_rotation_failed(&by_hand, d));
    texts.added("secret_is_deleted_first", |d| rotation::secret_is_deleted_first("DBT_TOKEN", d));
    texts.added("takes_effect_later", |d| {
        rotation::takes_effect_later("token_name", "name", &prior, &prior, d)
    });
    texts.added("takes_effect_later, by hand", |d| {
        rotation::takes_effect_later("permission_grants", "permissions", &prior, &by_hand, d);
    });
    texts.added("tokens_stay", |d| rotation::tokens_stay(&prior, d));
    texts.added("secret_stays", |d| rotation::secret_stays(&prior, d));
    texts.text("leftover", &rotation::leftover("airflow"));
    texts.added("may_be_left_over", |d| {
        lifecycle::may_be_left_over::<ServiceTokenRotation>(&prior, &lost(), d);
    });
    texts.added("unknown_permission_set", |d| rotation::unknown_permission_set("new_set", d));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn settings() {
    let mut texts = Texts::default();
    let host = kms::Host::parse("http://kms.example.com").unwrap();
    let missing = io::Error::from(io::ErrorKind::NotFound);
    texts.added("invalid", |d| settings::invalid("max_retries", "max_retries", "must be a whole number.", d));
    texts.added("not_a_bool", |d| settings::not_a_bool("The variable KMS_ALLOW_PLAIN_HTTP", d));
    texts.added("two_certificates", settings::two_certificates);
    texts.added("unreadable_certificate", |d| {
        settings::unreadable_certificate("ca_certificate_file", "/ca.pem", &missing, d);
    });
    let unusable = kms::CaCertificates::from_pem(b"/etc/kms/ca.pem").unwrap_err();
    texts.added("no_certificate_file", |d| settings::no_certificate_file("ca_certificate_file", "/etc", d));
    texts.added("certificate_as_path", |d| settings::certificate_as_path("ca_certificate_file", d));
    texts.added("unusable_certificate_file", |d| {
        settings::unusable_certificate_file("ca_certificate_file", "/ca.pem", &unusable, d);
    });
    texts.added("unusable_certificates", |d| settings::unusable_certificates(false, &unusable, d));
    texts.added("unusable_certificates, a path", |d| settings::unusable_certificates(true, &unusable, d));
    texts.added("plain_http", |d| settings::plain_http(&host, d));
    texts.added("several_logins", |d| {
        settings::several_logins(&["auth.token".to_owned(), "auth.oidc".to_owned()], d)
    });
    texts.added("several_logins_in_environment", |d| {
        settings::several_logins_in_environment(&["KMS_TOKEN", "KMS_UNIVERSAL_AUTH_CLIENT_ID"], d);
    });
    let token = "  auth.token, or KMS_TOKEN";
    texts.add("no_login", &settings::no_login(&[], token));
    texts.add("no_login, something found", &settings::no_login(&["KMS_MACHINE_IDENTITY_ID"], token));
    let found = ["KMS_MACHINE_IDENTITY_ID", "KMS_OIDC_AUTH_TOKEN_NAME"];
    texts.add("no_login, something found", &settings::no_login(&found, token));
    texts.add("incomplete_login", &settings::incomplete_login("auth.oidc", &["identity_id".to_owned()]));
    texts.add("not_known_yet", &settings::not_known_yet(&["host".to_owned()]));
    texts.add("not_configured", &settings::not_configured());
    insta::assert_snapshot!(texts.0);
}

#[test]
fn arguments() {
    let mut texts = Texts::default();
    texts.added("conflict", |d| arguments::conflict("id", "name", d));
    texts.added("neither", |d| arguments::neither("slug", "id", d));
    texts.added("missing_key", arguments::missing_key::<ServiceTokenRotation>);
    texts.added("only_by_name", |d| arguments::only_by_name("project_id", d));
    texts.added("needed_by_name", |d| arguments::needed_by_name("environment", d));
    texts.added("incomplete_list", |d| arguments::incomplete_list(2, "dbt connection", d));
    insta::assert_snapshot!(texts.0);
}

#[test]
fn actions() {
    let mut texts = Texts::default();
    texts.text("testing", &actions::testing(ID));
    texts.text("tested", &actions::tested(&["Analytics", "Finance"]));
    texts.text("tested, no projects", &actions::tested(&[]));
    texts.text("rotating", &actions::rotating(ID));
    texts.text("rotated", &actions::rotated(&token_rotation()));
    insta::assert_snapshot!(texts.0);
}

/// What the client has made visible leaves the process unchanged.
#[test]
fn the_client_and_the_runtime_hide_the_same_characters() {
    let all: String = ('\0'..=char::MAX).collect();
    assert_eq!(kms::report(&io::Error::other(all.clone())), crate::plugin::text::line(&all));
}

/// Only the provider's own texts have newlines.
#[test]
fn values_of_a_server_stay_on_one_line() {
    type T = DbtConnection;
    let hostile = "\u{1b}[31mRED\u{1b}]0;OWNED\u{7}\u{202e}gnp\r\nError: fake line\u{e0041}";
    let mut existing = connection();
    existing.created_at = hostile.to_owned();
    existing.updated_at = hostile.to_owned();
    existing.name = hostile.to_owned();
    existing.credentials.instance_url = hostile.to_owned();
    let planned = DbtConnectionModel::found(&connection());
    let place = DbtConnection::place(&planned);
    let mut all = Diagnostics::new();
    let visible = Existing::Visible(Box::new(existing.clone()));
    let taken = CreateError::NameTaken { existing: visible, error: refused(ApiErrorKind::NameTaken, 400) };
    all.extend(lifecycle::create_failure::<T>(&planned, &place, taken));
    let mut refusal = response(ApiErrorKind::Other, 500);
    refusal.message = hostile.to_owned();
    let error = failed(Effect::Write, Reason::Api(Box::new(refusal)));
    let unconfirmed = CreateError::Unconfirmed { found: Some(Box::new(existing.clone())), error };
    all.extend(lifecycle::create_failure::<T>(&planned, &place, unconfirmed));
    let differences = [lifecycle::difference("instance_url", &existing.credentials.instance_url)];
    lifecycle::will_not_adopt::<T>(&place, &existing, &differences, &mut all);
    let state = DbtConnectionModel::found(&existing);
    lifecycle::written_elsewhere::<T>(&state, true, &mut all);
    lifecycle::sent_once::<T>(hostile, false, false, &mut all);
    lifecycle::kept::<T>(hostile, ID, &mut all);
    all.extend(lifecycle::managed_twice::<T>(&state));
    let mut rotated = token_rotation();
    rotated.name = hostile.to_owned();
    rotated.last_rotation_message = Some(hostile.to_owned());
    rotated.last_rotated_at = hostile.to_owned();
    rotated.next_rotation_at = Some(hostile.to_owned());
    rotated.secrets_mapping.service_token = hostile.to_owned();
    rotated.parameters.token_name = hostile.to_owned();
    let state = RotationModel::found(&rotated);
    rotation::last_rotation_failed(&state, &mut all);
    rotation::takes_effect_later("token_name", "name", &state, &state, &mut all);
    rotation::tokens_stay(&state, &mut all);
    rotation::secret_stays(&state, &mut all);
    let texts = all.iter().map(|diagnostic| diagnostic.detail.clone());
    for text in texts.chain([actions::tested(&[hostile]), actions::rotated(&rotated)]) {
        assert_eq!(crate::plugin::text::lines(&text), text);
        assert!(text.contains(r"\r\nError: fake line\u{e0041}") || !text.contains("RED"), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("Error: fake")), "{text}");
    }
}

#[test]
fn rules() {
    let headers = [
        HeaderProblem::InvalidName,
        HeaderProblem::Reserved(Reservation::AccessToken),
        HeaderProblem::Reserved(Reservation::Request),
        HeaderProblem::Reserved(Reservation::Connection),
        HeaderProblem::Reserved(Reservation::Proxy),
        HeaderProblem::Reserved(Reservation::Condition),
        HeaderProblem::Repeated,
        HeaderProblem::InvalidValue,
        HeaderProblem::SurroundingSpace,
    ];
    let headers =
        headers.map(|problem| (format!("header: {problem:?}"), rules::header(problem, "X-Gateway")));
    let headers = headers.each_ref().map(|(case, text)| (case.as_str(), text.as_str()));
    let rules = listed(&[
        ("EMPTY", rules::EMPTY),
        ("EMPTY_PROJECT", rules::EMPTY_PROJECT),
        ("NOT_TRIMMED", rules::NOT_TRIMMED),
        ("BYTE_ORDER_MARK", rules::BYTE_ORDER_MARK),
        ("ZERO_CHARACTER", rules::ZERO_CHARACTER),
        ("NOT_A_SLUG", rules::NOT_A_SLUG),
        ("NOT_AN_INSTANCE_URL", rules::NOT_AN_INSTANCE_URL),
        ("NO_SLASHES", rules::NO_SLASHES),
        ("CREDENTIALS_IN_URL", rules::CREDENTIALS_IN_URL),
        ("NOT_A_UUID", rules::NOT_A_UUID),
        ("UPPER_CASE", rules::UPPER_CASE),
        ("NOT_A_PATH", rules::NOT_A_PATH),
        ("NOT_CANONICAL_PATH", rules::NOT_CANONICAL_PATH),
        ("NOT_A_SECRET_NAME", rules::NOT_A_SECRET_NAME),
        ("NOT_A_DURATION", rules::NOT_A_DURATION),
        ("ZERO_DURATION", rules::ZERO_DURATION),
        ("too_long", &rules::too_long(64, 65)),
        ("too_many_units", &rules::too_many_units(256, 258)),
        ("not_retries", &rules::not_retries(100)),
        ("host: not a URL", rules::host(HostError::NotAUrl)),
        ("host: scheme", rules::host(HostError::Scheme)),
        ("host: credentials", rules::host(HostError::Credentials)),
        ("host: query or fragment", rules::host(HostError::QueryOrFragment)),
        ("not_a_header", &rules::not_a_header(2)),
    ]);
    insta::assert_snapshot!(rules + &listed(&headers));
}

#[test]
fn airflow() {
    insta::assert_snapshot!(listed(&[
        ("EMPTY", airflow::EMPTY),
        ("NEITHER_FORM", airflow::NEITHER_FORM),
        ("UNDERSCORE", airflow::UNDERSCORE),
        ("NO_TYPE", airflow::NO_TYPE),
        ("OTHER_TYPE", airflow::OTHER_TYPE),
        ("NO_USER_INFO", airflow::NO_USER_INFO),
        ("NO_PASSWORD", airflow::NO_PASSWORD),
        ("FURTHER_URL", airflow::FURTHER_URL),
        ("BRACKET", airflow::BRACKET),
        ("LOOKALIKE", airflow::LOOKALIKE),
        ("UNKNOWN_FIELD", airflow::UNKNOWN_FIELD),
        ("URI_AND_FIELDS", airflow::URI_AND_FIELDS),
        ("INVALID_HOST", airflow::INVALID_HOST),
        ("INVALID_PORT", airflow::INVALID_PORT),
        ("invalid_json", &airflow::invalid_json(2, 26)),
        ("not_text", &airflow::not_text("host")),
        ("not_text_or_number", &airflow::not_text_or_number("login")),
    ]));
}

#[test]
fn credentials() {
    insta::assert_snapshot!(listed(&[
        ("WRITTEN_CREDENTIALS", attribute_map::WRITTEN_CREDENTIALS),
        ("STORED_CREDENTIALS", attribute_map::STORED_CREDENTIALS),
        ("ROTATING_CREDENTIALS", attribute_map::ROTATING_CREDENTIALS),
        ("CREDENTIALS_OF_ROTATION", attribute_map::CREDENTIALS_OF_ROTATION),
        ("OF_THE_CONNECTION", attribute_map::OF_THE_CONNECTION),
        ("LOOK_FOR_TOKENS_FIRST", attribute_map::LOOK_FOR_TOKENS_FIRST),
        ("DESTROY_WITHOUT_SECRET", attribute_map::DESTROY_WITHOUT_SECRET),
        ("LOOK_BEFORE_ROTATING_AGAIN", attribute_map::LOOK_BEFORE_ROTATING_AGAIN),
    ]));
}

#[test]
fn help() {
    insta::assert_snapshot!(crate::provider::config::help());
}
