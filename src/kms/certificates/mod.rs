//! The certificates of servers: which ones are trusted, and why one is refused.
//!
//! ```text
//! bundle     certificates in PEM, as the caller passes them
//! problem    why the certificate of a server is refused
//! x509       the parts of a certificate that the TLS library doesn't show
//! verifier   the system's trust store, and the server certificates that the caller listed
//! ```

mod bundle;
mod problem;
mod verifier;
mod x509;

#[cfg(test)]
mod tests;

pub use self::{
    bundle::{BundleError, CaCertificates},
    problem::CertificateProblem,
    verifier::cipher_suites,
};
pub(super) use self::{problem::RefusedCertificate, verifier::tls_config};
