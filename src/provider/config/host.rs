//! The KMS's address, and the certificates to trust there.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use super::{
    block::{ALLOW_PLAIN_HTTP, CA_CERTIFICATE_FILE, HOST, ProviderConfig},
    source::{Source, is_set},
};
use crate::{
    kms,
    plugin::diagnostics::Diagnostics,
    provider::messages::{rules as reason, settings},
};

const DEFAULT_HOST: &str = "https://app.kms.hanzo.ai";

/// Refuses contradictions within the block.
pub fn validate(config: &ProviderConfig, diagnostics: &mut Diagnostics) {
    if [&config.ca_certificate_file, &config.ca_certificate_pem].into_iter().all(is_set) {
        settings::two_certificates(diagnostics);
    }
    // A file may not exist yet where `terraform validate` runs.
    if let Some(pem) = pem(config)
        && let Err(problems) = kms::CaCertificates::from_pem(pem.as_bytes())
    {
        let is_path = !pem.contains(['\n', '\\']) && Path::new(pem.trim()).extension().is_some();
        settings::unusable_certificates(is_path, &problems, diagnostics);
    }
    // Where the block doesn't say, the environment may allow it: that is seen when the provider is configured.
    if config.allow_plain_http.known() == Some(&false)
        && let Some(host) = config.host.as_str().and_then(|host| kms::Host::parse(host).ok())
    {
        refuse_plain_http(&host, diagnostics);
    }
}

/// The address, unless tokens would travel there in plain text unasked.
pub fn host(config: &ProviderConfig, source: Source<'_>, diagnostics: &mut Diagnostics) -> Option<kms::Host> {
    let text = source.text(&HOST, Some(&config.host)).unwrap_or_else(|| DEFAULT_HOST.to_owned());
    let host = match kms::Host::parse(&text) {
        Ok(host) => host,
        Err(error) => {
            settings::invalid("host", &HOST.subject(is_set(&config.host)), reason::host(error), diagnostics);
            return None;
        }
    };
    let allowed = match config.allow_plain_http.known() {
        Some(allowed) => *allowed,
        None => match source.variable(ALLOW_PLAIN_HTTP.variable).as_deref() {
            None | Some("false" | "0") => false,
            Some("true" | "1") => true,
            Some(_) => {
                settings::not_a_bool(&ALLOW_PLAIN_HTTP.subject(false), diagnostics);
                return None;
            }
        },
    };
    // Validation has refused it already if both are in the block.
    let refused = is_set(&config.host) && config.allow_plain_http.known() == Some(&false);
    if !allowed && !refused {
        refuse_plain_http(&host, diagnostics);
    }
    Some(host)
}

fn refuse_plain_http(host: &kms::Host, diagnostics: &mut Diagnostics) {
    if host.is_plain_http_beyond_loopback() {
        settings::plain_http(host, diagnostics);
    }
}

/// The certificates to trust besides the system's.
pub fn ca_certificates(
    config: &ProviderConfig,
    source: Source<'_>,
    diagnostics: &mut Diagnostics,
) -> kms::CaCertificates {
    if let Some(pem) = pem(config) {
        // Validation has refused it already if it can't be used.
        return kms::CaCertificates::from_pem(pem.as_bytes()).unwrap_or_default();
    }
    let Some(file) = source.text(&CA_CERTIFICATE_FILE, Some(&config.ca_certificate_file)) else {
        return kms::CaCertificates::default();
    };
    let subject = CA_CERTIFICATE_FILE.subject(is_set(&config.ca_certificate_file));
    if file.contains("-----BEGIN") {
        settings::certificate_as_path(&subject, diagnostics);
        return kms::CaCertificates::default();
    }
    match read(&file) {
        Ok(Some(pem)) => kms::CaCertificates::from_pem(&pem).unwrap_or_else(|problems| {
            settings::unusable_certificate_file(&subject, &file, &problems, diagnostics);
            kms::CaCertificates::default()
        }),
        Ok(None) => {
            settings::no_certificate_file(&subject, &file, diagnostics);
            kms::CaCertificates::default()
        }
        Err(error) => {
            settings::unreadable_certificate(&subject, &file, &error, diagnostics);
            kms::CaCertificates::default()
        }
    }
}

/// The certificates in the block.
fn pem(config: &ProviderConfig) -> Option<&str> {
    config.ca_certificate_pem.as_str().filter(|pem| !pem.is_empty())
}

/// The content of a file, up to the first byte that is too many; `None` if it is a folder or a device, which
/// may have no end.
fn read(file: &str) -> io::Result<Option<Vec<u8>>> {
    if !std::fs::metadata(file)?.is_file() {
        return Ok(None);
    }
    let limit = u64::try_from(kms::CaCertificates::MAX_SIZE + 1).unwrap_or(u64::MAX);
    let mut content = Vec::new();
    File::open(file)?.take(limit).read_to_end(&mut content)?;
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        plugin::model::Field,
        provider::config::tests::{error, known, ready, text, with_token},
    };

    #[test]
    fn the_host_has_a_default_and_never_sends_secrets_in_plain_text_unasked() {
        let host =
            |config: &ProviderConfig, variables: &[(&str, &str)]| ready(config, variables).host.to_string();
        assert_eq!(host(&with_token(), &[]), DEFAULT_HOST);
        assert_eq!(host(&with_token(), &[("KMS_HOST", "https://a.example/api/")]), "https://a.example");
        let set_host = |url: &str, allowed: Field<bool>| ProviderConfig {
            host: text(url),
            allow_plain_http: allowed,
            ..with_token()
        };
        let environment = [("KMS_HOST", "https://a.example"), ("KMS_ALLOW_PLAIN_HTTP", "true")];
        assert_eq!(host(&set_host("https://b.example", Field::Null), &environment), "https://b.example");
        assert_eq!(host(&set_host("http://b.example", Field::Null), &environment), "http://b.example");
        assert_eq!(host(&set_host("http://b.example", known(true)), &[]), "http://b.example");
        assert_eq!(host(&set_host("http://127.0.0.1:8080", Field::Null), &[]), "http://127.0.0.1:8080");
        for allowed in [Field::Null, known(false)] {
            let refused = error(&set_host("http://b.example", allowed), &[]);
            assert!(refused.starts_with("Plain HTTP not allowed: "), "{refused}");
        }
        let refused = error(&set_host("http://b.example", known(false)), &environment);
        assert!(refused.starts_with("Plain HTTP not allowed: "), "{refused}");
        let typo = error(&with_token(), &[("KMS_ALLOW_PLAIN_HTTP", "yes")]);
        assert!(typo.contains("KMS_ALLOW_PLAIN_HTTP"), "{typo}");
        let no_url = error(&with_token(), &[("KMS_HOST", "kms.example.com")]);
        assert!(no_url.contains("The variable KMS_HOST must be"), "{no_url}");
    }

    fn certificate() -> String {
        let key = rcgen::KeyPair::generate().unwrap();
        rcgen::CertificateParams::default().self_signed(&key).unwrap().pem()
    }

    fn with_file(file: &str) -> ProviderConfig {
        ProviderConfig { ca_certificate_file: text(file), ..with_token() }
    }

    fn with_pem(pem: &str) -> ProviderConfig {
        ProviderConfig { ca_certificate_pem: text(pem), ..with_token() }
    }

    #[test]
    fn certificates_come_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (block_file, env_file) = (path("block.pem"), path("env.pem"));
        let (of_block, of_env, of_text) = (certificate(), certificate(), certificate());
        std::fs::write(&block_file, &of_block).unwrap();
        std::fs::write(&env_file, &of_env).unwrap();
        let both = ProviderConfig { ca_certificate_pem: text(&of_text), ..with_file(&block_file) };
        assert!(error(&both, &[]).starts_with("Certificates from two places"));
        for (file, pem) in [("", ""), (block_file.as_str(), ""), ("", of_text.as_str())] {
            let block = ProviderConfig { ca_certificate_pem: text(pem), ..with_file(file) };
            let mut diagnostics = Diagnostics::new();
            validate(&block, &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{file:?} and {pem:?}: an empty text counts as not set");
        }
        let variables = [("KMS_CA_CERTIFICATE_FILE", env_file.as_str())];
        let of = |pem: &str| kms::CaCertificates::from_pem(pem.as_bytes()).unwrap();
        assert_eq!(ready(&with_token(), &[]).ca_certificates, kms::CaCertificates::default());
        assert_eq!(ready(&with_token(), &variables).ca_certificates, of(&of_env));
        assert_eq!(ready(&with_file(&block_file), &variables).ca_certificates, of(&of_block));
        assert_eq!(ready(&with_pem(&of_text), &variables).ca_certificates, of(&of_text));
    }

    #[test]
    fn a_certificate_file_that_can_not_be_used_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("key.pem"), certificate() + key).unwrap();
        std::fs::write(path("empty.pem"), "").unwrap();
        let large = std::fs::File::create(path("large.pem")).unwrap();
        large.set_len(1 << 40).unwrap();
        for (file, summary, problem) in [
            (path("missing.pem"), "Unreadable certificate file", "can't be read"),
            (path(""), "Unreadable certificate file", "which is not a file"),
            (certificate() + key, "Unreadable certificate file", "its value is PEM text"),
            (path("key.pem"), "Unusable CA certificates", "is a private key"),
            (path("empty.pem"), "Unusable CA certificates", "it is empty"),
            (path("large.pem"), "Unusable CA certificates", "larger than 16 MiB"),
        ] {
            let in_block = error(&with_file(&file), &[]);
            assert!(in_block.starts_with(&format!("{summary}: \"ca_certificate_file\" ")), "{in_block}");
            let variable = error(&with_token(), &[("KMS_CA_CERTIFICATE_FILE", &file)]);
            let expected = format!("{summary}: The variable KMS_CA_CERTIFICATE_FILE ");
            assert!(variable.starts_with(&expected), "{variable}");
            for text in [in_block, variable] {
                assert!(text.contains(problem) && !text.contains("c2VjcmV0"), "{text}");
            }
        }
    }

    #[test]
    fn certificates_in_the_block_are_checked_in_validation() {
        let key = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
        for (pem, problem) in [
            ((certificate() + key).replace('\n', "\\n"), "block 2 (line 1) is a private key"),
            ("./ca.pem".to_owned(), "For the path of a file, set \"ca_certificate_file\" instead."),
        ] {
            let mut diagnostics = Diagnostics::new();
            validate(&with_pem(&pem), &mut diagnostics);
            let errors: Vec<_> = diagnostics.iter().collect();
            let [refused] = errors[..] else { panic!("{errors:?}") };
            assert_eq!(refused.attribute.as_ref().unwrap().to_string(), "ca_certificate_pem");
            assert!(refused.detail.contains(problem), "{refused:?}");
            assert!(!refused.detail.contains("c2VjcmV0"), "{refused:?}");
            let refused = error(&with_pem(&pem), &[]);
            assert!(refused.starts_with("Unusable CA certificates: \"ca_certificate_pem\" "), "{refused}");
        }
    }
}
