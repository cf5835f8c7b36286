//! The KMS's address, and the certificates to trust there.

use std::path::PathBuf;

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
pub fn ca_certificate(
    config: &ProviderConfig,
    source: Source<'_>,
    diagnostics: &mut Diagnostics,
) -> Option<kms::CaCertificate> {
    if let Some(pem) = config.ca_certificate_pem.as_str().filter(|pem| !pem.is_empty()) {
        return Some(kms::CaCertificate::Pem(pem.as_bytes().to_vec()));
    }
    let file = source.text(&CA_CERTIFICATE_FILE, Some(&config.ca_certificate_file))?;
    // It is read at the first call. That it can be read is worth knowing before, while the error can name the attribute.
    if let Err(error) = std::fs::File::open(&file) {
        let subject = CA_CERTIFICATE_FILE.subject(is_set(&config.ca_certificate_file));
        settings::unreadable_certificate(&subject, &file, &error, diagnostics);
    }
    Some(kms::CaCertificate::File(PathBuf::from(file)))
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

    #[test]
    fn certificates_come_from_one_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (block_file, env_file, missing) = (path("block.pem"), path("env.pem"), path("missing.pem"));
        for file in [&block_file, &env_file] {
            std::fs::write(file, "PEM").unwrap();
        }
        let with_file = |file: &str| ProviderConfig { ca_certificate_file: text(file), ..with_token() };
        let both = ProviderConfig { ca_certificate_pem: text("PEM"), ..with_file(&block_file) };
        assert!(error(&both, &[]).starts_with("Certificates from two places"));
        for (file, pem) in [("", ""), (block_file.as_str(), ""), ("", "PEM")] {
            let block = ProviderConfig { ca_certificate_pem: text(pem), ..with_file(file) };
            let mut diagnostics = Diagnostics::new();
            validate(&block, &mut diagnostics);
            assert!(!diagnostics.has_errors(), "{file:?} and {pem:?}: an empty text counts as not set");
        }
        let variables = [("KMS_CA_CERTIFICATE_FILE", env_file.as_str())];
        let file = |path: &str| Some(kms::CaCertificate::File(PathBuf::from(path)));
        assert_eq!(ready(&with_token(), &[]).ca_certificate, None);
        assert_eq!(ready(&with_token(), &variables).ca_certificate, file(&env_file));
        assert_eq!(ready(&with_file(&block_file), &variables).ca_certificate, file(&block_file));
        let block = ProviderConfig { ca_certificate_pem: text("PEM"), ..with_token() };
        assert_eq!(ready(&block, &variables).ca_certificate, Some(kms::CaCertificate::Pem(b"PEM".to_vec())));
        let unreadable = error(&with_file(&missing), &[]);
        assert!(unreadable.contains("\"ca_certificate_file\" names"), "{unreadable}");
        let unreadable = error(&with_token(), &[("KMS_CA_CERTIFICATE_FILE", missing.as_str())]);
        assert!(unreadable.contains("The variable KMS_CA_CERTIFICATE_FILE names"), "{unreadable}");
    }
}
