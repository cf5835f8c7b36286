//! The parts of a certificate that the TLS library checks but doesn't show.

use rustls_pki_types::{CertificateDer, UnixTime};
use time::OffsetDateTime;
use yasna::{
    ASN1Result, BERReader, Tag,
    models::ObjectIdentifier,
    tags::{TAG_GENERALIZEDTIME, TAG_UTCTIME},
};

/// Extended key usage.
const PURPOSES: &[u64] = &[2, 5, 29, 37];
const TLS_SERVER: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 3, 1];

/// Parts of a certificate of version 3.
pub(super) struct Certificate {
    issuer: Vec<u8>,
    subject: Vec<u8>,
    not_before: OffsetDateTime,
    not_after: OffsetDateTime,
    /// What it may be used for; `None` for anything.
    purposes: Option<Vec<ObjectIdentifier>>,
}

impl Certificate {
    /// Reads a certificate; `None` if it has another form.
    pub(super) fn read(der: &CertificateDer<'_>) -> Option<Self> {
        let certificate = yasna::parse_der(der, |reader| {
            reader.read_sequence(|reader| {
                let certificate = reader.next().read_sequence(|reader| {
                    // The version, the serial number and the signature's algorithm.
                    reader.next().read_tagged(Tag::context(0), |version| version.read_u8())?;
                    reader.next().read_der()?;
                    reader.next().read_der()?;
                    let issuer = reader.next().read_der()?;
                    let (not_before, not_after) = reader
                        .next()
                        .read_sequence(|reader| Ok((time(reader.next())?, time(reader.next())?)))?;
                    let subject = reader.next().read_der()?;
                    // The public key.
                    reader.next().read_der()?;
                    let purposes =
                        reader.read_optional(|reader| reader.read_tagged(Tag::context(3), purposes))?;
                    Ok(Self { issuer, subject, not_before, not_after, purposes: purposes.flatten() })
                })?;
                // The signature.
                reader.next().read_der()?;
                reader.next().read_der()?;
                Ok(certificate)
            })
        });
        certificate.ok()
    }

    /// Whether the issuer and the subject have the same name.
    pub(super) fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    pub(super) fn not_before(&self) -> UnixTime {
        unix_time(self.not_before)
    }

    pub(super) fn not_after(&self) -> UnixTime {
        unix_time(self.not_after)
    }

    /// Whether TLS servers may use it.
    pub(super) fn is_for_servers(&self) -> bool {
        let Some(purposes) = &self.purposes else { return true };
        purposes.iter().any(|purpose| purpose.components() == TLS_SERVER)
    }
}

fn time(reader: BERReader<'_, '_>) -> ASN1Result<OffsetDateTime> {
    match reader.lookahead_tag()? {
        TAG_UTCTIME => Ok(*reader.read_utctime()?.datetime()),
        TAG_GENERALIZEDTIME => Ok(*reader.read_generalized_time()?.datetime()),
        _ => Err(yasna::ASN1Error::new(yasna::ASN1ErrorKind::Invalid)),
    }
}

/// The value of the extension for purposes, in the list of extensions.
fn purposes(reader: BERReader<'_, '_>) -> ASN1Result<Option<Vec<ObjectIdentifier>>> {
    let mut purposes = None;
    reader.read_sequence_of(|reader| {
        let (id, value) = reader.read_sequence(|reader| {
            let id = reader.next().read_oid()?;
            reader.read_default(false, |is_critical| is_critical.read_bool())?;
            Ok((id, reader.next().read_bytes()?))
        })?;
        if id.components() == PURPOSES {
            let list =
                yasna::parse_der(&value, |list| list.collect_sequence_of(|purpose| purpose.read_oid()))?;
            purposes = Some(list);
        }
        Ok(())
    })?;
    Ok(purposes)
}

fn unix_time(time: OffsetDateTime) -> UnixTime {
    let seconds = u64::try_from(time.unix_timestamp()).unwrap_or_default();
    UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds))
}
