//! Why the certificate of a server is refused.

use rustls::{CertificateError, OtherError};
use rustls_pki_types::UnixTime;
use time::{OffsetDateTime, macros::format_description};

use crate::kms::messages::refused_certificate as text;

/// A kind of reasons to refuse the certificate of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CertificateProblem {
    /// No trusted authority issued it.
    UnknownIssuer,
    /// It is self-signed, and isn't one of the certificates that the caller listed.
    SelfSigned,
    /// It is that of an authority, and isn't one of the certificates that the caller listed.
    Authority,
    /// It is for other names.
    WrongName,
    /// It has no names: the subject's common name doesn't count.
    NoName,
    /// It has expired.
    Expired,
    /// It isn't valid yet.
    NotYetValid,
    /// It was revoked.
    Revoked,
    /// It is of version 1 of X.509, which has no names and no purposes.
    Version,
    /// It is for other purposes than TLS servers.
    Purpose,
    /// It has a critical extension that the TLS library doesn't know.
    CriticalExtension,
    /// Its signature isn't that of the authority that it names.
    Signature,
    /// It has an unsupported kind of key or signature.
    Algorithm,
    /// An authority in its chain may not issue it.
    Constraint,
    /// It can't be parsed.
    Malformed,
    /// The operating system has another reason.
    Other,
}

/// The refusal of the certificate of a server.
#[derive(Debug, thiserror::Error)]
#[error("{text}")]
pub(in crate::kms) struct RefusedCertificate {
    pub(in crate::kms) problem: CertificateProblem,
    text: String,
}

/// The server's certificate is self-signed. The TLS library doesn't distinguish this from other unknown
/// issuers.
#[derive(Debug, thiserror::Error)]
#[error("{}", text::SELF_SIGNED)]
pub(super) struct SelfSigned;

/// How many names of a certificate are shown.
const MOST_NAMES: usize = 5;

impl RefusedCertificate {
    /// The reason behind an error of the TLS library.
    pub(in crate::kms) fn of(error: &CertificateError) -> Self {
        use CertificateProblem as Problem;
        let (problem, text) = match error {
            CertificateError::UnknownIssuer => (Problem::UnknownIssuer, text::UNKNOWN_ISSUER),
            CertificateError::NotValidForNameContext { presented, .. } if presented.is_empty() => {
                (Problem::NoName, text::NO_NAME)
            }
            CertificateError::NotValidForNameContext { presented, .. } => {
                let names: Vec<_> = presented.iter().filter_map(|name| shown(name)).collect();
                if !names.is_empty() {
                    let text = text::other_names(&names, MOST_NAMES);
                    return Self { problem: Problem::WrongName, text };
                }
                (Problem::WrongName, text::WRONG_NAME)
            }
            CertificateError::NotValidForName => (Problem::WrongName, text::WRONG_NAME),
            CertificateError::ExpiredContext { not_after, .. } => {
                return Self { problem: Problem::Expired, text: text::expired(&date(*not_after)) };
            }
            CertificateError::Expired => (Problem::Expired, text::EXPIRED),
            CertificateError::NotValidYetContext { not_before, .. } => {
                return Self { problem: Problem::NotYetValid, text: text::not_yet_valid(&date(*not_before)) };
            }
            CertificateError::NotValidYet => (Problem::NotYetValid, text::NOT_YET_VALID),
            CertificateError::Revoked => (Problem::Revoked, text::REVOKED),
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                (Problem::Purpose, text::PURPOSE)
            }
            CertificateError::UnhandledCriticalExtension => {
                (Problem::CriticalExtension, text::CRITICAL_EXTENSION)
            }
            CertificateError::BadSignature => (Problem::Signature, text::SIGNATURE),
            CertificateError::UnsupportedSignatureAlgorithmContext { .. }
            | CertificateError::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
                (Problem::Algorithm, text::ALGORITHM)
            }
            CertificateError::BadEncoding => (Problem::Malformed, text::MALFORMED),
            CertificateError::Other(OtherError(other)) if other.is::<SelfSigned>() => {
                (Problem::SelfSigned, text::SELF_SIGNED)
            }
            CertificateError::Other(OtherError(other)) => match other.downcast_ref::<webpki::Error>() {
                Some(error) => of_library(error),
                None => return Self { problem: Problem::Other, text: text::other(&other.to_string()) },
            },
            other => return Self { problem: Problem::Other, text: text::other(&other.to_string()) },
        };
        Self { problem, text: text.to_owned() }
    }
}

/// The errors for which the TLS library has no variant of its own.
fn of_library(error: &webpki::Error) -> (CertificateProblem, &'static str) {
    use CertificateProblem as Problem;
    match error {
        webpki::Error::CaUsedAsEndEntity => (Problem::Authority, text::AUTHORITY),
        webpki::Error::UnsupportedCertVersion => (Problem::Version, text::VERSION),
        webpki::Error::UnsupportedCriticalExtension => (Problem::CriticalExtension, text::CRITICAL_EXTENSION),
        webpki::Error::EmptyEkuExtension => (Problem::Purpose, text::PURPOSE),
        webpki::Error::EndEntityUsedAsCa
        | webpki::Error::NameConstraintViolation
        | webpki::Error::PathLenConstraintViolated
        | webpki::Error::CertDistrusted => (Problem::Constraint, text::CONSTRAINT),
        _ => (Problem::Malformed, text::MALFORMED),
    }
}

/// A name in the TLS library's notation, such as `DnsName("kms.example.com")`, as users write it.
fn shown(name: &str) -> Option<String> {
    let (kind, name) = name.strip_suffix(')')?.split_once('(')?;
    let name = name.trim_matches('"');
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic());
    (matches!(kind, "DnsName" | "IpAddress") && is_plain).then(|| name.to_owned())
}

fn date(time: UnixTime) -> String {
    let seconds = i64::try_from(time.as_secs()).unwrap_or(i64::MAX);
    let date = OffsetDateTime::from_unix_timestamp(seconds).ok();
    let format = format_description!("[year]-[month]-[day]");
    date.and_then(|date| date.format(format).ok()).unwrap_or_else(|| seconds.to_string())
}
