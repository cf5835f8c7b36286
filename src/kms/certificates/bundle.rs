//! Certificates in PEM (RFC 7468), read strictly: nothing of a bundle is skipped.
//!
//! What can't be used is an error that names its position and its kind, and never shows its content, because
//! users paste private keys along with certificates. Line ends don't matter, as PEM goes through editors,
//! environment variables and JSON: there may be any white space, and `\n` may be written as two characters.
//! Neither does text between the blocks, which includes byte-order marks.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rustls::RootCertStore;
use rustls_pki_types::CertificateDer;

use crate::kms::messages::{self, block_problem, bundle_problem};

const BEGIN: &[u8] = b"-----BEGIN ";
const END: &[u8] = b"-----END ";
const DASHES: &[u8] = b"-----";

/// The start of a PEM block that was encoded in base64.
const BEGIN_IN_BASE64: &[u8] = b"LS0tLS1CRUdJTi";

/// Beyond this number of problems, the text is hardly a bundle.
const MOST_PROBLEMS: usize = 10;

/// Certificates to trust in addition to the system's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CaCertificates(Vec<CertificateDer<'static>>);

impl CaCertificates {
    /// The maximum size of a bundle: about a hundred times the size of a system's.
    pub const MAX_SIZE: usize = 16 * 1024 * 1024;

    /// Reads a bundle in PEM.
    ///
    /// # Errors
    /// The bundle has no certificate, or has anything in a PEM block that isn't one.
    pub fn from_pem(pem: &[u8]) -> Result<Self, BundleError> {
        if pem.len() > Self::MAX_SIZE {
            return Err(BundleError::of(&bundle_problem::too_large(Self::MAX_SIZE)));
        }
        let mut reader = Reader { pem, blocks: 0, certificates: Vec::new(), problems: Vec::new() };
        reader.read();
        if !reader.problems.is_empty() {
            return Err(BundleError { problems: reader.problems });
        }
        if reader.certificates.is_empty() {
            return Err(BundleError::of(other_format(pem)));
        }
        Ok(Self(reader.certificates))
    }

    pub(in crate::kms) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &CertificateDer<'static>> {
        self.0.iter()
    }

    /// Whether one of them is exactly this certificate.
    pub(super) fn contains(&self, certificate: &CertificateDer<'_>) -> bool {
        self.0.iter().any(|listed| listed.as_ref() == certificate.as_ref())
    }
}

impl fmt::Debug for CaCertificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CaCertificates({})", self.0.len())
    }
}

/// Why a bundle can't be used: a list of its problems, which name positions and quote nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", messages::unusable_bundle(problems, MOST_PROBLEMS))]
pub struct BundleError {
    problems: Vec<String>,
}

impl BundleError {
    fn of(problem: &str) -> Self {
        Self { problems: vec![problem.to_owned()] }
    }
}

struct Reader<'a> {
    pem: &'a [u8],
    /// The number of blocks so far.
    blocks: usize,
    certificates: Vec<CertificateDer<'static>>,
    problems: Vec<String>,
}

impl Reader<'_> {
    fn read(&mut self) {
        let mut at = 0;
        while let Some(begin) = find(self.pem, BEGIN, at) {
            self.check_between(at, begin);
            at = self.read_block(begin);
            if self.problems.len() >= MOST_PROBLEMS {
                return;
            }
        }
        self.check_between(at, self.pem.len());
    }

    /// Text between blocks is a comment, unless it is the rest of a damaged block.
    fn check_between(&mut self, from: usize, to: usize) {
        let text = &self.pem[from..to];
        let is_dash = |at: Option<usize>| {
            // Word processors make other dashes, which aren't ASCII.
            at.and_then(|at| text.get(at)).is_some_and(|byte| *byte == b'-' || !byte.is_ascii())
        };
        let damaged = [&b"BEGIN CERTIFICATE"[..], b"END CERTIFICATE"].into_iter().filter_map(|words| {
            let at = find(text, words, 0)?;
            (is_dash(at.checked_sub(1)) || is_dash(Some(at + words.len()))).then_some(at)
        });
        if let Some(at) = damaged.chain(find(text, END, 0)).min() {
            self.problems.push(messages::stray_line(self.line(from + at)));
        }
    }

    /// Reads the block that begins here, and returns where it ends.
    fn read_block(&mut self, begin: usize) -> usize {
        self.blocks += 1;
        let start = begin + BEGIN.len();
        let label_end = find(self.pem, DASHES, start).filter(|end| !self.pem[start..*end].contains(&b'\n'));
        let Some(label_end) = label_end else {
            self.problems.push(messages::stray_line(self.line(begin)));
            return start;
        };
        let body = label_end + DASHES.len();
        let next_begin = find(self.pem, BEGIN, body).unwrap_or(self.pem.len());
        let end = find(&self.pem[..next_begin], END, body);
        let label = &self.pem[start..label_end];
        let end_line = [END, label, DASHES].concat();
        let read = match (unusable(label), end) {
            (Some(problem), _) => Err(problem.to_owned()),
            (None, None) => Err(block_problem::NO_END.to_owned()),
            (None, Some(end)) if !self.pem[end..].starts_with(&end_line) => {
                Err(block_problem::other_end(self.line(end)))
            }
            (None, Some(end)) => self.certificate(body, end),
        };
        match read {
            Ok(certificate) => self.certificates.push(certificate),
            Err(problem) => {
                let line = self.line(begin);
                self.problems.push(messages::unusable_block(self.blocks, line, &problem));
            }
        }
        match end {
            // The rest of the line, whatever it is, belongs to this block.
            Some(end) if self.pem[end..].starts_with(&end_line) => end + end_line.len(),
            Some(end) => end + END.len(),
            None => next_begin,
        }
    }

    fn certificate(&self, body: usize, end: usize) -> Result<CertificateDer<'static>, String> {
        let mut base64 = Vec::with_capacity(end - body);
        let mut at = body;
        while at < end {
            match self.pem[at] {
                byte if byte.is_ascii_whitespace() => at += 1,
                b'\\' => {
                    // Each level of quoting may have doubled the backslash.
                    let escape = self.pem[at..end].iter().find(|byte| **byte != b'\\');
                    if !matches!(escape, Some(b'n' | b'r' | b't')) {
                        return Err(block_problem::not_base64(self.line(at)));
                    }
                    at += self.pem[at..end].iter().take_while(|byte| **byte == b'\\').count() + 1;
                }
                byte if byte.is_ascii_alphanumeric() || b"+/=".contains(&byte) => {
                    base64.push(byte);
                    at += 1;
                }
                _ => return Err(block_problem::not_base64(self.line(at))),
            }
        }
        let der = STANDARD.decode(base64).map_err(|_| block_problem::INCOMPLETE_BASE64.to_owned())?;
        let certificate = CertificateDer::from(der);
        if !is_certificate(&certificate) {
            return Err(block_problem::NOT_A_CERTIFICATE.to_owned());
        }
        Ok(certificate)
    }

    /// The number of the line with this position.
    fn line(&self, at: usize) -> usize {
        self.pem[..at].iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// Why a block with this label can't be used; `None` for a certificate.
fn unusable(label: &[u8]) -> Option<&'static str> {
    match label {
        // The latter two are old names of the first.
        b"CERTIFICATE" | b"X509 CERTIFICATE" | b"X.509 CERTIFICATE" => None,
        b"TRUSTED CERTIFICATE" => Some(block_problem::TRUSTED_CERTIFICATE),
        b"X509 CRL" => Some(block_problem::REVOCATION_LIST),
        b"PKCS7" | b"CMS" => Some(block_problem::PKCS7),
        b"CERTIFICATE REQUEST" | b"NEW CERTIFICATE REQUEST" => Some(block_problem::REQUEST),
        label if label.ends_with(b"PRIVATE KEY") => Some(block_problem::PRIVATE_KEY),
        _ => Some(block_problem::OTHER),
    }
}

/// Why a bundle without any block can't be used.
fn other_format(text: &[u8]) -> &'static str {
    if is_certificate(&CertificateDer::from(text)) {
        return bundle_problem::DER;
    }
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text).trim_ascii();
    match text {
        b"" => bundle_problem::EMPTY,
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => bundle_problem::UTF16,
        _ if text.contains(&0) => bundle_problem::BINARY,
        _ if text.starts_with(BEGIN_IN_BASE64) => bundle_problem::BASE64,
        _ => bundle_problem::NO_CERTIFICATE,
    }
}

fn is_certificate(der: &CertificateDer<'_>) -> bool {
    RootCertStore::empty().add(der.clone()).is_ok()
}

fn find(text: &[u8], words: &[u8], from: usize) -> Option<usize> {
    let found = text.get(from..)?.windows(words.len()).position(|window| window == words)?;
    Some(from + found)
}
