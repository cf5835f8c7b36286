//! Every text of this layer that a user can see: the texts of its errors. Logs don't count.
//!
//! Callers embed these texts in sentences, so they begin in lower case and have no full stop. The KMS's own messages
//! are only redacted.

use std::{path::Path, time::Duration};

// Requests.

/// The KMS could not be reached a moment ago.
pub(super) fn unreachable() -> &'static str {
    "the KMS can't be reached"
}

/// A rate limit requires more waiting than is allowed. `message` is the server's.
pub(super) fn rate_limited(
    request: &str,
    waited: Duration,
    asked: Duration,
    message: Option<&str>,
) -> String {
    let message = message.map(|message| format!(": {message}")).unwrap_or_default();
    format!(
        "the rate limit of the KMS requires another {}s of waiting before {request}, after {}s so far{message}",
        asked.as_secs().max(1),
        waited.as_secs()
    )
}

/// The operation was stopped.
pub(super) fn cancelled() -> &'static str {
    "cancelled before completion"
}

/// The KMS responded with an error. `error` is the result of [`api_error`].
pub(super) fn failed_request(method: &str, route: &str, error: &str) -> String {
    format!("{method} {route}: {error}")
}

/// An error response of the KMS. `issues` are the results of [`issue`], and there are `more` of them.
pub(super) fn api_error(
    status: u16,
    message: &str,
    issues: &[String],
    more: usize,
    req_id: Option<&str>,
) -> String {
    let more = if more == 0 { String::new() } else { format!("; and {more} more") };
    let issues = if issues.is_empty() { String::new() } else { format!(": {}{more}", issues.join("; ")) };
    let request = req_id.map(|id| format!(" (request {id})")).unwrap_or_default();
    format!("HTTP {status}: {message}{issues}{request}")
}

/// The message of an error response that only has issues.
pub(super) fn invalid_request() -> &'static str {
    "the request is invalid"
}

/// One issue of an error response: the path of the field and the server's message.
pub(super) fn issue(path: &[String], message: &str) -> String {
    if path.is_empty() { message.to_owned() } else { format!("{}: {message}", path.join(".")) }
}

/// The response came from a proxy or another server.
pub(super) fn foreign_response(
    method: &str,
    route: &str,
    host: &str,
    status: u16,
    problem: Option<&str>,
) -> String {
    let problem = problem.map(|problem| format!(": {problem}")).unwrap_or_default();
    format!(
        "{method} {route}: {host} responded with HTTP {status}, but the response is not from a KMS{problem}"
    )
}

/// A response of success was cut off.
pub(super) fn truncated() -> &'static str {
    "it is truncated"
}

/// A response of success has another content type.
pub(super) fn not_json() -> &'static str {
    "it is not JSON"
}

/// The KMS has no such route.
pub(super) fn no_route(method: &str, route: &str) -> String {
    format!("{method} {route}: HTTP 404: the KMS does not have this route")
}

/// The connection failed.
pub(super) fn no_connection(method: &str, route: &str, host: &str) -> String {
    format!("no connection to the KMS at {host} for {method} {route}")
}

/// The connection broke before the response was complete.
pub(super) fn no_response(method: &str, route: &str, host: &str) -> String {
    format!("no complete response from the KMS at {host} to {method} {route}")
}

/// A proxy in a sentence: its address without the login, and the variable that names it.
pub(super) fn proxy(address: &str, variable: &str) -> String {
    format!("the proxy {address} ({variable})")
}

/// The end of a sentence about a request that went through a proxy. `proxy` is the result of [`proxy`].
pub(super) fn through_proxy(proxy: &str) -> String {
    format!(", through {proxy}")
}

/// DNS has no address for the name.
pub(super) fn unknown_name() -> &'static str {
    "the host name is unknown"
}

/// A proxy requires a login.
pub(super) fn proxy_login_required() -> &'static str {
    "the proxy does not accept the login, or requires one"
}

/// A proxy responded to the request for a connection with an error.
pub(super) fn refused_by_proxy() -> &'static str {
    "the proxy did not connect to the KMS"
}

/// A proxy of SOCKS can't be reached.
pub(super) fn proxy_not_reached() -> &'static str {
    "there is no connection to the proxy"
}

/// The peer ended a stream or the connection. `code` is the name of an error code of HTTP/2.
pub(super) fn http2_error(frame: &str, code: &str) -> String {
    format!("HTTP/2 {frame} with {code}")
}

/// The peer refused a request unread.
pub(super) fn unprocessed(method: &str, route: &str, host: &str) -> String {
    format!("the server at {host} did not process {method} {route}")
}

/// An exchange took too long.
pub(super) fn timed_out(limit: Duration) -> String {
    format!("timed out after {limit:?}")
}

/// The response is JSON, but not what this request expects.
pub(super) fn unreadable_response(method: &str, route: &str, problem: &str) -> String {
    format!("invalid response to {method} {route}: {problem}")
}

/// A field of the response is wrong. The text must not quote it.
pub(super) fn wrong_field(line: usize, column: usize) -> String {
    format!("a field is missing or has another type (line {line}, column {column})")
}

/// A list has more entries than the client decodes.
pub(super) fn too_many_entries(limit: usize) -> String {
    format!("it lists more than {limit} objects")
}

/// The response is too large.
pub(super) fn too_large(limit: usize) -> String {
    format!("it is larger than {} MiB", limit / (1024 * 1024))
}

/// The response describes something that was not requested.
pub(super) fn describes_another(what: &str) -> String {
    format!("it describes another {what}")
}

/// The response has an ID that can't be one.
pub(super) fn no_valid_id() -> &'static str {
    "its ID has other characters than letters, digits and hyphens"
}

/// The response has an ID with a secret in it, which can't be stored.
pub(super) fn secret_in_id() -> &'static str {
    "its ID contains a secret that this run uses"
}

/// The response to a login has no access token that can be sent.
pub(super) fn no_usable_token() -> &'static str {
    "its access token is empty, or has characters that can't be sent in an HTTP header"
}

/// The response describes an object of another kind.
pub(super) fn describes_another_kind() -> &'static str {
    "it describes an object of another kind"
}

/// The response is a redirect that leaves the host, or that isn't safe to follow.
pub(super) fn redirected(method: &str, route: &str, host: &str, status: u16, to: Option<&str>) -> String {
    let to = to.map(|to| format!(" to {to}")).unwrap_or_default();
    format!("{method} {route}: {host} responded with a redirect{to} (HTTP {status}), which is not followed")
}

// Changes.

/// Another object has the name.
pub(super) fn name_taken() -> &'static str {
    "the name is already taken"
}

/// Nothing shows whether the create succeeded.
pub(super) fn unconfirmed() -> &'static str {
    "could not confirm that the object was created"
}

/// Another caller in this process manages the object.
pub(super) fn already_managed() -> &'static str {
    "the object is already managed"
}

// Logins.

/// The KMS refused the login.
pub(super) fn login_refused(method: &str) -> String {
    format!("the KMS refused the login with {method}")
}

/// The KMS has locked the machine identity.
pub(super) fn locked_out(method: &str) -> String {
    format!("the KMS has locked the machine identity for {method} after failed logins")
}

/// The KMS refused the configured access token.
pub(super) fn token_refused() -> &'static str {
    "the KMS refused the configured access token"
}

/// The KMS refuses every access token that it issues.
pub(super) fn fresh_tokens_refused() -> &'static str {
    "the KMS refuses the access tokens that it has just issued"
}

/// The file of the service account token can't be read.
pub(super) fn unreadable_service_account_token(path: &Path) -> String {
    format!("could not read the Kubernetes service account token from {}", path.display())
}

/// The KMS could not verify the signed call of AWS STS.
pub(super) fn aws_identity_unverified() -> &'static str {
    "the KMS could not verify the AWS identity"
}

/// The access token can't be part of an HTTP header.
pub(super) fn malformed_token() -> &'static str {
    "the access token is empty or contains invalid characters"
}

/// No source has AWS credentials. `tried` are the results of [`aws_source_without_credentials`].
pub(super) fn no_aws_credentials(tried: &[String]) -> String {
    format!("no AWS credentials found ({})", tried.join("; "))
}

/// A source that has no AWS credentials, and the reason.
pub(super) fn aws_source_without_credentials(source_name: &str, reason: &str) -> String {
    format!("{source_name}: {reason}")
}

/// A source failed.
pub(super) fn failed_aws_source(source_name: &str, problem: &str) -> String {
    format!("could not load AWS credentials from {source_name}: {problem}")
}

/// The sources of AWS credentials, in their order.
pub(super) mod aws_source {
    pub(in super::super) const ENVIRONMENT: &str = "the environment variables";
    pub(in super::super) const PROFILE: &str = "the shared config and credentials files";
    pub(in super::super) const WEB_IDENTITY: &str = "the web identity token";
    pub(in super::super) const CONTAINER: &str = "the container's credentials endpoint";
    pub(in super::super) const INSTANCE_METADATA: &str = "the instance metadata service";
}

/// A source gives no reason.
pub(super) fn aws_source_not_configured() -> &'static str {
    "not configured"
}

/// A profile needs a part of the AWS library that this program doesn't have.
pub(super) fn unsupported_aws_profile() -> &'static str {
    "this profile gets its credentials in an unsupported way; export them with `aws configure export-credentials`"
}

/// The response of a source of AWS credentials is too large.
pub(super) fn aws_response_too_large() -> &'static str {
    "the response is too large"
}

/// A request for AWS credentials failed on the way. `proxy` is the result of [`proxy`].
pub(super) fn aws_failure_through_proxy(problem: &str, proxy: &str) -> String {
    format!("{problem}{}", through_proxy(proxy))
}

/// The AWS library made a request that can't be sent.
pub(super) fn aws_request_is_stream() -> &'static str {
    "the request is a stream"
}

/// No source responded in time.
pub(super) fn aws_lookup_timed_out(limit: Duration) -> String {
    format!("timed out after {}s while looking for AWS credentials", limit.as_secs())
}

/// The region can't be part of a host name.
pub(super) fn invalid_aws_region(region: &str) -> String {
    format!("{region:?} is not a valid name of an AWS region")
}

/// The call of AWS STS can't be signed.
pub(super) fn unsigned_aws_call(problem: &str) -> String {
    format!("could not sign the AWS STS request: {problem}")
}

// Configuration.

/// The host is not a URL.
pub(super) fn host_is_no_url() -> &'static str {
    "the host must be a full URL, such as https://kms.example.com"
}

/// The host has another scheme.
pub(super) fn host_has_other_scheme() -> &'static str {
    "the host must begin with https:// (or http://)"
}

/// The host contains credentials.
pub(super) fn host_has_credentials() -> &'static str {
    "the host must not contain a user name or a password"
}

/// The host has a query or a fragment.
pub(super) fn host_has_query() -> &'static str {
    "the host must not contain a query or a fragment (? or #)"
}

/// The HTTP library refused the configuration.
pub(super) fn no_http_client() -> &'static str {
    "could not set up the HTTP client"
}

/// A CGI program was given a proxy for plain HTTP.
pub(super) fn proxy_in_cgi(variable: &str) -> String {
    format!(
        "{variable} is not used where REQUEST_METHOD is set, because in a CGI program a header of any \
         request can set it"
    )
}

/// A variable has no address that can be connected to. It isn't quoted, because it may contain a password.
pub(super) fn unusable_proxy(variable: &str) -> String {
    format!("{variable} is not the URL of a proxy, such as http://proxy.example.com:3128")
}

/// The body of a request can't be encoded.
pub(super) fn no_json_body() -> &'static str {
    "could not encode the request as JSON"
}

/// A value can't be part of a URL.
pub(super) fn invalid_id(value: &str) -> String {
    format!("{value:?} is not a valid ID or name in the KMS")
}

// Certificates.

/// A bundle of certificates can't be used. `problems` are the results of the functions below, of which only
/// the first `most` are looked for.
pub(super) fn unusable_bundle(problems: &[String], most: usize) -> String {
    let rest = if problems.len() < most { "" } else { "; the rest was not checked" };
    format!("{}{rest}", problems.join("; "))
}

/// The problem of a block of a bundle, by its number and its first line.
pub(super) fn unusable_block(number: usize, line: usize, problem: &str) -> String {
    format!("block {number} (line {line}) {problem}")
}

/// A line belongs to no block.
pub(super) fn stray_line(line: usize) -> String {
    format!("line {line} has a BEGIN or END line that is damaged or lacks its counterpart")
}

/// The problems of a block. They complete the sentence "block 2 ...".
pub(super) mod block_problem {
    pub(in super::super) const PRIVATE_KEY: &str =
        "is a private key: remove it, only certificates belong there";
    pub(in super::super) const TRUSTED_CERTIFICATE: &str = "is a TRUSTED CERTIFICATE, a format of OpenSSL: \
        convert it with `openssl x509 -in FILE -out ca.pem`";
    pub(in super::super) const REVOCATION_LIST: &str =
        "is a certificate revocation list, which is not used: remove it";
    pub(in super::super) const PKCS7: &str = "is a PKCS #7 container: extract its \
        certificates with `openssl pkcs7 -print_certs -in FILE -out ca.pem`";
    pub(in super::super) const REQUEST: &str =
        "is a certificate signing request: replace it with the certificate that was issued for it";
    pub(in super::super) const OTHER: &str = "is not a certificate: remove it";
    pub(in super::super) const NO_END: &str = "is incomplete: it has no END line";
    pub(in super::super) const INCOMPLETE_BASE64: &str = "is damaged: its base64 text is incomplete";
    pub(in super::super) const NOT_A_CERTIFICATE: &str =
        "is damaged: its content is not an X.509 certificate";

    /// The type in the last line differs from the one in the first.
    pub(in super::super) fn other_end(line: usize) -> String {
        format!("is damaged: its END line, line {line}, does not match its BEGIN line")
    }

    /// A line has other characters.
    pub(in super::super) fn not_base64(line: usize) -> String {
        format!("is damaged: line {line} is not base64")
    }
}

/// The problems of a bundle without any block. They complete the sentence "the file ...".
pub(super) mod bundle_problem {
    pub(in super::super) const EMPTY: &str = "it is empty";
    pub(in super::super) const DER: &str =
        "it is in the binary format DER: convert it with `openssl x509 -inform DER -in FILE -out ca.pem`";
    pub(in super::super) const UTF16: &str = "it is encoded in UTF-16: save it as UTF-8";
    pub(in super::super) const BINARY: &str = "it is a binary file, not PEM: convert it with openssl";
    pub(in super::super) const BASE64: &str =
        "it is PEM that was encoded in base64 once more: decode it first";
    pub(in super::super) const NO_CERTIFICATE: &str =
        "it contains no certificate in PEM format, which begins with -----BEGIN CERTIFICATE-----";

    /// The bundle is too large.
    pub(in super::super) fn too_large(limit: usize) -> String {
        format!("it is larger than {} MiB", limit / (1024 * 1024))
    }
}

/// The reasons why the certificate of a server is refused.
pub(super) mod refused_certificate {
    pub(in super::super) const UNKNOWN_ISSUER: &str =
        "the server's certificate was not issued by an authority that this machine trusts";
    pub(in super::super) const SELF_SIGNED: &str = "the server's certificate is self-signed and not trusted";
    pub(in super::super) const AUTHORITY: &str = "the server's certificate is that of an authority (CA:TRUE)";
    pub(in super::super) const WRONG_NAME: &str = "the server's certificate is for another host name";
    pub(in super::super) const NO_NAME: &str = "the server's certificate has no subjectAltName";
    pub(in super::super) const EXPIRED: &str =
        "the server's certificate, or one that it depends on, has expired";
    pub(in super::super) const NOT_YET_VALID: &str =
        "the server's certificate, or one that it depends on, is not valid yet";
    pub(in super::super) const REVOKED: &str = "the server's certificate has been revoked";
    pub(in super::super) const VERSION: &str =
        "the server's certificate, or one that it depends on, has X.509 version 1";
    pub(in super::super) const PURPOSE: &str =
        "the extended key usage of the server's certificate does not allow TLS servers";
    pub(in super::super) const CRITICAL_EXTENSION: &str =
        "the server's certificate, or one that it depends on, has an unsupported critical extension";
    pub(in super::super) const SIGNATURE: &str =
        "the server's certificate was not signed with the key of the authority that it names";
    pub(in super::super) const ALGORITHM: &str =
        "the server's certificate, or one that it depends on, uses an unsupported key or signature algorithm";
    pub(in super::super) const CONSTRAINT: &str =
        "an authority that issued the server's certificate was not allowed to issue it";
    pub(in super::super) const MALFORMED: &str =
        "the server's certificate, or one that it depends on, is malformed";

    /// The names that the certificate has instead, at most `most` of them.
    pub(in super::super) fn other_names(names: &[String], most: usize) -> String {
        let more = if names.len() > most { " and others" } else { "" };
        format!("the server's certificate is for {}{more}", names[..names.len().min(most)].join(", "))
    }

    /// The end of its validity, as a date.
    pub(in super::super) fn expired(date: &str) -> String {
        format!("{EXPIRED} (on {date})")
    }

    /// The beginning of its validity, as a date.
    pub(in super::super) fn not_yet_valid(date: &str) -> String {
        format!("{NOT_YET_VALID} (before {date})")
    }

    /// The system has a reason of its own.
    pub(in super::super) fn other(reason: &str) -> String {
        format!("the server's certificate is refused by this machine: {reason}")
    }
}

/// The system has no certificates to trust.
pub(super) fn no_trust_store() -> &'static str {
    "this machine has no certificates of trusted authorities"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `tests/layers.rs` checks that nothing of this module is missing here.
    #[test]
    fn texts() {
        let (method, route, host) = ("POST", "/api/v1/things/:id", "https://kms.example.com");
        let minute = Duration::from_secs(60);
        let issues =
            [issue(&["credentials".to_owned(), "accountId".to_owned()], "Required"), issue(&[], "Invalid")];
        let response = api_error(422, invalid_request(), &issues, 0, Some("req-1"));
        let source = aws_source_without_credentials(aws_source::ENVIRONMENT, aws_source_not_configured());
        let texts = [
            "# Requests".to_owned(),
            unreachable().to_owned(),
            rate_limited("GET /api/v1/things", minute, Duration::from_secs(12), None),
            rate_limited("GET /api/v1/things", minute, Duration::ZERO, Some("Rate limit exceeded.")),
            cancelled().to_owned(),
            failed_request(method, route, &response),
            failed_request(method, route, &api_error(404, "Not found", &[], 0, None)),
            failed_request(method, route, &api_error(422, invalid_request(), &issues, 14_998, None)),
            foreign_response(method, route, host, 502, None),
            foreign_response(method, route, host, 200, Some(truncated())),
            foreign_response(method, route, host, 200, Some(not_json())),
            no_route(method, route),
            no_connection(method, route, host),
            no_response(method, route, host),
            no_connection(method, route, host) + &through_proxy(&proxy("http://proxy:3128", "HTTPS_PROXY")),
            no_connection(method, route, host) + ": " + unknown_name(),
            no_connection(method, route, host) + ": " + proxy_login_required(),
            no_connection(method, route, host) + ": " + refused_by_proxy(),
            no_connection(method, route, host) + ": " + proxy_not_reached(),
            unprocessed(method, route, host) + ": " + &http2_error("RST_STREAM", "REFUSED_STREAM"),
            timed_out(minute),
            unreadable_response(method, route, &wrong_field(1, 40)),
            unreadable_response(method, route, &too_large(8 << 20)),
            unreadable_response(method, route, &too_many_entries(10_000)),
            unreadable_response(method, route, &describes_another("object")),
            unreadable_response(method, route, describes_another_kind()),
            unreadable_response(method, route, no_valid_id()),
            unreadable_response(method, route, secret_in_id()),
            unreadable_response(method, route, no_usable_token()),
            redirected(method, route, host, 302, None),
            redirected(method, route, host, 302, Some("https://elsewhere.example.com")),
            "\n# Changes".to_owned(),
            name_taken().to_owned(),
            unconfirmed().to_owned(),
            already_managed().to_owned(),
            "\n# Logins".to_owned(),
            login_refused("Universal Auth"),
            locked_out("Universal Auth"),
            token_refused().to_owned(),
            fresh_tokens_refused().to_owned(),
            unreadable_service_account_token(Path::new("/var/run/token")),
            aws_identity_unverified().to_owned(),
            malformed_token().to_owned(),
            no_aws_credentials(&[source.clone(), source]),
            failed_aws_source(aws_source::PROFILE, unsupported_aws_profile()),
            failed_aws_source(aws_source::WEB_IDENTITY, aws_response_too_large()),
            failed_aws_source(aws_source::CONTAINER, aws_request_is_stream()),
            failed_aws_source(aws_source::INSTANCE_METADATA, "no route to host"),
            aws_failure_through_proxy("connection refused", &proxy("http://proxy:3128", "HTTPS_PROXY")),
            aws_lookup_timed_out(minute),
            invalid_aws_region("eu-west-1.example.com"),
            unsigned_aws_call("no time"),
            "\n# Configuration".to_owned(),
            host_is_no_url().to_owned(),
            host_has_other_scheme().to_owned(),
            host_has_credentials().to_owned(),
            host_has_query().to_owned(),
            no_http_client().to_owned(),
            proxy_in_cgi("HTTP_PROXY"),
            unusable_proxy("HTTPS_PROXY"),
            no_json_body().to_owned(),
            invalid_id(".."),
            "\n# Certificates".to_owned(),
            unusable_bundle(&[unusable_block(2, 30, block_problem::PRIVATE_KEY), stray_line(51)], 3),
            unusable_bundle(&[unusable_block(1, 1, block_problem::NO_END)], 1),
            block_problem::TRUSTED_CERTIFICATE.to_owned(),
            block_problem::REVOCATION_LIST.to_owned(),
            block_problem::PKCS7.to_owned(),
            block_problem::REQUEST.to_owned(),
            block_problem::OTHER.to_owned(),
            block_problem::INCOMPLETE_BASE64.to_owned(),
            block_problem::NOT_A_CERTIFICATE.to_owned(),
            block_problem::other_end(20),
            block_problem::not_base64(7),
            bundle_problem::EMPTY.to_owned(),
            bundle_problem::DER.to_owned(),
            bundle_problem::UTF16.to_owned(),
            bundle_problem::BINARY.to_owned(),
            bundle_problem::BASE64.to_owned(),
            bundle_problem::NO_CERTIFICATE.to_owned(),
            bundle_problem::too_large(16 << 20),
            refused_certificate::UNKNOWN_ISSUER.to_owned(),
            refused_certificate::SELF_SIGNED.to_owned(),
            refused_certificate::AUTHORITY.to_owned(),
            refused_certificate::WRONG_NAME.to_owned(),
            refused_certificate::other_names(&["kms.example.com".to_owned(), "10.0.0.1".to_owned()], 1),
            refused_certificate::NO_NAME.to_owned(),
            refused_certificate::expired("2026-01-31"),
            refused_certificate::not_yet_valid("2026-01-31"),
            refused_certificate::REVOKED.to_owned(),
            refused_certificate::VERSION.to_owned(),
            refused_certificate::PURPOSE.to_owned(),
            refused_certificate::CRITICAL_EXTENSION.to_owned(),
            refused_certificate::SIGNATURE.to_owned(),
            refused_certificate::ALGORITHM.to_owned(),
            refused_certificate::CONSTRAINT.to_owned(),
            refused_certificate::MALFORMED.to_owned(),
            refused_certificate::other("error -67901"),
            no_trust_store().to_owned(),
        ];
        insta::assert_snapshot!(texts.join("\n"));
    }
}
