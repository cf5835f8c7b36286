use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, GeneralSubtree,
    IsCa, Issuer, KeyPair, NameConstraints, SigningKey as _,
};
use rustls::{Error, client::danger::ServerCertVerifier as _, crypto::aws_lc_rs};
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use time::{OffsetDateTime, macros::datetime};

use super::{
    bundle::CaCertificates,
    problem::{CertificateProblem as Problem, RefusedCertificate},
    verifier::{ServerVerifier, cipher_suites},
};

const NAME: &str = "kms.example.com";
const NOW: OffsetDateTime = datetime!(2026-06-01 00:00 UTC);

fn pem(certificate: &CertificateDer<'_>) -> String {
    let text = STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn parameters(change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut parameters = CertificateParams::new([NAME.to_owned()]).unwrap();
    (parameters.not_before, parameters.not_after) =
        (datetime!(2026-01-01 00:00 UTC), datetime!(2027-01-01 00:00 UTC));
    change(&mut parameters);
    parameters
}

fn self_signed(change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
    parameters(change).self_signed(&KeyPair::generate().unwrap()).unwrap().der().clone()
}

/// As `openssl req -x509` makes it.
fn self_signed_authority() -> CertificateDer<'static> {
    self_signed(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained))
}

struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
}

impl Authority {
    fn new(change: impl FnOnce(&mut CertificateParams)) -> Self {
        let parameters = parameters(|it| {
            it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            it.distinguished_name.push(DnType::CommonName, "Authority");
            change(it);
        });
        let key = KeyPair::generate().unwrap();
        let certificate = parameters.self_signed(&key).unwrap().der().clone();
        Self { issuer: Issuer::new(parameters, key), certificate }
    }

    fn issue(&self, change: impl FnOnce(&mut CertificateParams)) -> CertificateDer<'static> {
        let parameters = parameters(change);
        parameters.signed_by(&KeyPair::generate().unwrap(), &self.issuer).unwrap().der().clone()
    }

    /// A certificate in a form that the library doesn't make.
    fn issue_odd(&self, form: OddForm) -> CertificateDer<'static> {
        let certificate = self.issue(|_| {});
        // Version, serial number, algorithm, issuer, validity, subject, public key and extensions.
        let mut parts = yasna::parse_der(&certificate, |reader| {
            reader.read_sequence(|reader| {
                let parts = reader.next().collect_sequence_of(|part| part.read_der());
                reader.next().read_der()?;
                reader.next().read_der()?;
                parts
            })
        })
        .unwrap();
        match form {
            OddForm::Version1 => {
                parts.remove(0);
                parts.pop();
            }
            OddForm::Sha1 => {
                let ecdsa_with_sha1 = [1, 2, 840, 10045, 4, 1];
                parts[2] = yasna::construct_der(|writer| {
                    writer.write_sequence(|writer| {
                        writer
                            .next()
                            .write_oid(&yasna::models::ObjectIdentifier::from_slice(&ecdsa_with_sha1));
                    });
                });
            }
        }
        let algorithm = parts[parts.len() - if matches!(form, OddForm::Version1) { 5 } else { 6 }].clone();
        let signed = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| parts.iter().for_each(|part| writer.next().write_der(part)));
        });
        let signature = self.issuer.key().sign(&signed).unwrap();
        let certificate = yasna::construct_der(|writer| {
            writer.write_sequence(|writer| {
                writer.next().write_der(&signed);
                writer.next().write_der(&algorithm);
                writer.next().write_bitvec_bytes(&signature, signature.len() * 8);
            });
        });
        certificate.into()
    }
}

enum OddForm {
    Version1,
    Sha1,
}

/// Verifies a certificate where only the listed ones are trusted.
fn verify(
    listed: &[&CertificateDer<'_>],
    certificate: &CertificateDer<'_>,
    name: &'static str,
    now: OffsetDateTime,
) -> Result<(), RefusedCertificate> {
    let listed: String = listed.iter().map(|certificate| pem(certificate)).collect();
    let listed = CaCertificates::from_pem(listed.as_bytes()).unwrap();
    let verifier = ServerVerifier::new(&listed, Arc::new(aws_lc_rs::default_provider())).unwrap();
    let name = ServerName::try_from(name).unwrap();
    let now = UnixTime::since_unix_epoch(Duration::from_secs(now.unix_timestamp().try_into().unwrap()));
    match verifier.verify_server_cert(certificate, &[], &name, &[], now) {
        Ok(_) => Ok(()),
        Err(Error::InvalidCertificate(error)) => Err(RefusedCertificate::of(&error)),
        Err(error) => panic!("{error:?}"),
    }
}

fn problem(
    listed: &[&CertificateDer<'_>],
    certificate: &CertificateDer<'_>,
    name: &'static str,
    now: OffsetDateTime,
) -> Option<Problem> {
    verify(listed, certificate, name, now).err().map(|refused| refused.problem)
}

fn unknown_extension() -> CustomExtension {
    let mut extension = CustomExtension::from_oid_content(&[1, 2, 3, 4], vec![5, 0]);
    extension.set_criticality(true);
    extension
}

#[test]
fn a_listed_server_certificate_needs_no_issuer() {
    let authority = Authority::new(|_| {});
    let other = self_signed(|_| {});
    for certificate in [self_signed_authority(), self_signed(|_| {}), authority.issue(|_| {})] {
        assert_eq!(problem(&[&other, &certificate], &certificate, NAME, NOW), None);
    }
    for purpose in [ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth] {
        let expected = (purpose == ExtendedKeyUsagePurpose::ClientAuth).then_some(Problem::Purpose);
        let certificate = self_signed(|it| {
            it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            it.extended_key_usages = vec![purpose];
        });
        assert_eq!(problem(&[&certificate], &certificate, NAME, NOW), expected);
    }
}

#[test]
fn a_listed_server_certificate_is_checked_otherwise() {
    let certificate = self_signed_authority();
    for (name, now, expected) in [
        ("other.example.com", NOW, Problem::WrongName),
        (NAME, datetime!(2025-12-31 23:59:59 UTC), Problem::NotYetValid),
        (NAME, datetime!(2027-01-01 00:00:01 UTC), Problem::Expired),
    ] {
        assert_eq!(problem(&[&certificate], &certificate, name, now), Some(expected));
    }
    for edge in [datetime!(2026-01-01 00:00 UTC), datetime!(2027-01-01 00:00 UTC)] {
        assert_eq!(problem(&[&certificate], &certificate, NAME, edge), None);
    }
    let without_end = self_signed(|it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        it.not_after = datetime!(9999-12-31 23:59:59 UTC);
    });
    assert_eq!(problem(&[&without_end], &without_end, NAME, datetime!(2999-01-01 00:00 UTC)), None);
    let critical = self_signed(|it| {
        it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        it.custom_extensions = vec![unknown_extension()];
    });
    assert_eq!(problem(&[&critical], &critical, NAME, NOW), Some(Problem::CriticalExtension));
    let nameless = self_signed(|it| it.subject_alt_names.clear());
    assert_eq!(problem(&[&nameless], &nameless, NAME, NOW), Some(Problem::NoName));
    let version_1 = Authority::new(|_| {}).issue_odd(OddForm::Version1);
    assert_eq!(problem(&[&version_1], &version_1, NAME, NOW), Some(Problem::Version));
}

/// Windows and macOS verify certificates themselves, with other errors.
#[test]
#[cfg_attr(any(windows, target_vendor = "apple"), ignore = "the system verifies certificates")]
fn only_the_listed_certificate_itself_is_trusted_without_an_issuer() {
    let listed = self_signed(|_| {});
    for certificate in [self_signed_authority(), self_signed(|_| {})] {
        assert_eq!(problem(&[&listed], &certificate, NAME, NOW), Some(Problem::SelfSigned));
    }
    // The same name and key, but other bytes.
    let key = KeyPair::generate().unwrap();
    let [one, other] = [1u64, 2].map(|number| {
        let parameters = parameters(|it| {
            it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            it.serial_number = Some(number.into());
        });
        parameters.self_signed(&key).unwrap().der().clone()
    });
    assert_eq!(problem(&[&one], &other, NAME, NOW), Some(Problem::SelfSigned));
    // One that the listed certificate has signed is that of an authority still.
    let authority = Authority::new(|_| {});
    let second = authority.issue(|it| it.is_ca = IsCa::Ca(BasicConstraints::Unconstrained));
    assert_eq!(problem(&[&authority.certificate], &second, NAME, NOW), Some(Problem::Authority));
}

#[test]
#[cfg_attr(any(windows, target_vendor = "apple"), ignore = "the system verifies certificates")]
fn each_kind_of_refusal_has_its_own_problem() {
    let authority = Authority::new(|_| {});
    let constrained = Authority::new(|it| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("elsewhere.example".to_owned())];
        it.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    });
    let namesake = Authority::new(|_| {});
    let unrelated =
        Authority::new(|it| it.distinguished_name.push(DnType::CommonName, "Unrelated authority"));
    let expired = datetime!(2026-02-01 00:00 UTC);
    let issued = [
        (authority.issue(|_| {}), None),
        (unrelated.issue(|_| {}), Some(Problem::UnknownIssuer)),
        (authority.issue(|it| it.not_after = expired), Some(Problem::Expired)),
        (authority.issue(|it| it.not_before = datetime!(2026-12-01 00:00 UTC)), Some(Problem::NotYetValid)),
        (authority.issue(|it| it.subject_alt_names.clear()), Some(Problem::NoName)),
        (
            authority.issue(|it| it.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]),
            Some(Problem::Purpose),
        ),
        (
            authority.issue(|it| it.custom_extensions = vec![unknown_extension()]),
            Some(Problem::CriticalExtension),
        ),
        (authority.issue_odd(OddForm::Version1), Some(Problem::Version)),
        (authority.issue_odd(OddForm::Sha1), Some(Problem::Algorithm)),
        (namesake.issue(|_| {}), Some(Problem::Signature)),
        (CertificateDer::from(vec![0x30, 0x03, 1, 1, 1]), Some(Problem::Malformed)),
    ];
    for (number, (certificate, expected)) in issued.iter().enumerate() {
        assert_eq!(problem(&[&authority.certificate], certificate, NAME, NOW), *expected, "{number}");
    }
    let outside = constrained.issue(|_| {});
    assert_eq!(problem(&[&constrained.certificate], &outside, NAME, NOW), Some(Problem::Constraint));
}

#[test]
fn a_refusal_shows_names_and_dates_as_users_write_them() {
    let certificate = self_signed(|it| {
        let names = ["a.example", "10.0.0.1", "b.example", "c.example", "d.example", "e.example"];
        it.subject_alt_names = CertificateParams::new(names.map(str::to_owned)).unwrap().subject_alt_names;
    });
    let text = |name, now| verify(&[&certificate], &certificate, name, now).unwrap_err().to_string();
    assert_eq!(
        text(NAME, NOW),
        "the server's certificate is for a.example, 10.0.0.1, b.example, c.example, d.example and others"
    );
    let late = text("a.example", datetime!(2028-01-01 00:00 UTC));
    assert!(late.ends_with("has expired (on 2027-01-01)"), "{late}");
    let early = text("a.example", datetime!(2020-01-01 00:00 UTC));
    assert!(early.ends_with("is not valid yet (before 2026-01-01)"), "{early}");
}

#[test]
fn the_offer_has_both_versions_and_no_cbc() {
    let offer = cipher_suites();
    assert!(offer.contains(&("TLS 1.3", "TLS_AES_128_GCM_SHA256".to_owned())), "{offer:?}");
    assert!(offer.contains(&("TLS 1.2", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256".to_owned())), "{offer:?}");
    assert!(!offer.iter().any(|(_, suite)| suite.contains("CBC")), "{offer:?}");
}

fn read(pem: impl AsRef<[u8]>) -> Result<CaCertificates, String> {
    CaCertificates::from_pem(pem.as_ref()).map_err(|error| error.to_string())
}

#[test]
fn every_form_of_a_bundle_has_the_same_certificates() {
    let (one, other) = (self_signed(|_| {}), self_signed_authority());
    let (a, b) = (pem(&one), pem(&other));
    let both = read(a.clone() + &b).unwrap();
    assert!(both.contains(&one) && both.contains(&other));
    assert_eq!(format!("{both:?}"), "CaCertificates(2)");
    let plain = a.clone() + &b;
    for (number, text) in [
        plain.replace('\n', "\r\n"),
        plain.replace('\n', "\\n"),
        plain.replace('\n', "\\r\\n"),
        plain.replace('\n', "\\\\n"),
        plain.replace('\n', " "),
        plain.replace('\n', "\r"),
        plain.replace('\n', "  \n\t"),
        format!("\u{feff}{plain}"),
        format!("\u{feff}{a}\u{feff}{b}"),
        format!("{}{b}", a.trim_end()),
        format!(
            "Certificate of the d\u{e9}p\u{f4}t:\n# Subject: CN=x\n{a}\nAnd another:\n\n{b}\nEnd of file"
        ),
        format!("certificates = \"{}\"", plain.replace('\n', "\\n")),
        plain.replace("CERTIFICATE", "X509 CERTIFICATE"),
    ]
    .iter()
    .enumerate()
    {
        assert_eq!(read(text), Ok(both.clone()), "{number}");
    }
    // Comments may have any encoding.
    let latin_1 = [b"# d\xe9p\xf4t\n", plain.as_bytes()].concat();
    assert_eq!(read(latin_1), Ok(both));
}

#[test]
fn whatever_can_not_be_used_is_named_and_not_shown() {
    let certificate = pem(&self_signed(|_| {}));
    let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0c2VjcmV0\n-----END PRIVATE KEY-----\n";
    let labelled = |label: &str| key.replace("PRIVATE KEY", label);
    // The certificate has 9 lines or so, and the next block follows it.
    let line = certificate.lines().count() + 1;
    let in_second = |problem: &str| format!("block 2 (line {line}) {problem}");
    for (second, problem) in [
        (key.to_owned(), "is a private key"),
        (labelled("RSA PRIVATE KEY"), "is a private key"),
        (labelled("ENCRYPTED PRIVATE KEY"), "is a private key"),
        (key.replace("-----END PRIVATE KEY-----", ""), "is a private key"),
        (labelled("TRUSTED CERTIFICATE"), "is a TRUSTED CERTIFICATE"),
        (labelled("X509 CRL"), "is a certificate revocation list"),
        (labelled("PKCS7"), "is a PKCS #7 container"),
        (labelled("CERTIFICATE REQUEST"), "is a certificate signing request"),
        (labelled("EC PARAMETERS"), "is not a certificate"),
        (labelled("CERTIFICATE"), "is damaged: its content is not an X.509 certificate"),
        (certificate.replace("-----END CERTIFICATE-----", ""), "is incomplete: it has no END line"),
        (certificate.replace("END CERTIFICATE", "END PRIVATE KEY"), "is damaged: its END line"),
        (certificate.replace("END CERTIFICATE-----", "END CERTIFICATE---"), "is damaged: its END line"),
        (certificate.replacen('\n', "\nc2Vjc\u{2026}", 1), "is damaged: line"),
        (certificate.replacen('\n', "\nProc-Type: secret\n", 1), "is damaged: line"),
        (certificate.replacen('\n', "\\secret", 1), "is damaged: line"),
        (certificate.replacen('\n', "\nA", 1), "is damaged: its base64 text is incomplete"),
    ] {
        for line_end in ["\n", "\r\n"] {
            let text = (certificate.clone() + &second).replace('\n', line_end);
            let error = read(text).unwrap_err();
            assert!(error.starts_with(&in_second(problem)), "{error}");
            assert!(!error.contains("c2Vj") && !error.contains("secret") && !error.contains(';'), "{error}");
            assert!(error.len() < 200, "{error}");
        }
    }
    let damaged = certificate.replacen('\n', "\n!", 1);
    let error = read(certificate.clone() + &damaged).unwrap_err();
    assert_eq!(error, in_second(&format!("is damaged: line {} is not base64", line + 1)));
    for stray in [
        "-----END CERTIFICATE-----\n".to_owned(),
        certificate.replace("-----BEGIN", "----BEGIN"),
        certificate.replace("-----", "\u{2014}\u{2013}"),
        certificate.replacen("CERTIFICATE-----", "CERTIFICATE\u{2014}", 1),
    ] {
        let error = read(certificate.clone() + &stray).unwrap_err();
        assert!(
            error.starts_with(&format!("line {line} has a BEGIN or END line that is damaged")),
            "{error}"
        );
    }
}

#[test]
fn every_problem_of_a_bundle_is_named_up_to_a_limit() {
    let block = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    let certificate = pem(&self_signed(|_| {}));
    let error = read(format!("{block}{certificate}{block}")).unwrap_err();
    assert!(error.contains("block 1 (line 1)") && error.contains("; block 3 (line "), "{error}");
    let error = read(block.repeat(100_000)).unwrap_err();
    assert!(error.contains("block 10") && !error.contains("block 11"), "{error}");
    assert!(error.ends_with("; the rest was not checked"), "{error}");
}

#[test]
fn a_text_without_a_certificate_is_named_by_its_format() {
    let certificate = self_signed(|_| {});
    let text = pem(&certificate);
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let other_binary = [&b"0\x82\x01\x00\x02\x01\x03\x00"[..], &[0; 100]].concat();
    for (text, problem) in [
        (b"".to_vec(), "it is empty"),
        (b"\xef\xbb\xbf \r\n".to_vec(), "it is empty"),
        (certificate.to_vec(), "it is in the binary format DER"),
        ([&b"\xff\xfe"[..], &utf16].concat(), "it is encoded in UTF-16"),
        (other_binary, "it is a binary file"),
        (STANDARD.encode(&text).into_bytes(), "it is PEM that was encoded in base64"),
        (b"/etc/kms/ca.pem".to_vec(), "it contains no certificate"),
        (STANDARD.encode(&certificate).into_bytes(), "it contains no certificate"),
        (vec![b'\n'; CaCertificates::MAX_SIZE + 1], "it is larger than 16 MiB"),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.starts_with(problem), "{error}");
    }
    // A byte at the end of DER may look like white space.
    assert!(read([&certificate[..certificate.len() - 1], b"\n"].concat()).is_err());
}
