//! The sources of AWS credentials: those of AWS's own tools, in the same order.

use aws_config::{
    Region,
    ecs::EcsCredentialsProvider,
    environment::{EnvironmentVariableCredentialsProvider, EnvironmentVariableRegionProvider},
    imds::{credentials::ImdsCredentialsProvider, region::ImdsRegionProvider},
    meta::region::ProvideRegion as _,
    profile::{ProfileFileCredentialsProvider, ProfileFileRegionProvider},
    provider_config::ProviderConfig,
    web_identity_token::WebIdentityTokenCredentialsProvider,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, error::CredentialsError},
};

use super::{AwsError, http::Http};
use crate::kms::{
    messages::{self, aws_source},
    proxy::Proxies,
    report,
};

/// The region if none is configured. Every account of the standard partition can call STS there.
const DEFAULT_REGION: &str = "us-east-1";

/// The maximum length of an explanation from the AWS library.
const LONGEST_PROBLEM: usize = 500;

/// Credentials and their region.
pub(super) struct Found {
    pub(super) credentials: Credentials,
    pub(super) region: String,
    pub(super) source_name: &'static str,
}

/// Tries the sources in order. A source that isn't configured is skipped. One that fails ends the search, because the
/// next one would be another identity.
pub(super) async fn find(proxies: &Proxies) -> Result<Found, AwsError> {
    let http = Http { proxies: proxies.clone() };
    let config = ProviderConfig::without_region().with_http_client(http);
    let region = configured_region(&config).await;
    let default = || Region::from_static(DEFAULT_REGION);
    let config = config.with_region(Some(region.clone().unwrap_or_else(default)));
    let mut tried = Vec::new();
    for (source_name, source) in sources(&config) {
        match source.provide_credentials().await {
            Ok(credentials) => {
                let region = match region {
                    None if source_name == aws_source::INSTANCE_METADATA => instance_region(&config).await,
                    configured => configured,
                };
                let region = region.unwrap_or_else(default).to_string();
                return Ok(Found { credentials, region, source_name });
            }
            Err(error @ CredentialsError::CredentialsNotLoaded(_)) => {
                tried.push(messages::aws_source_without_credentials(source_name, &explanation(&error)));
            }
            Err(error) => return Err(AwsError::Source { source_name, problem: explanation(&error) }),
        }
    }
    Err(AwsError::NotFound { tried })
}

fn sources(config: &ProviderConfig) -> [(&'static str, Box<dyn ProvideCredentials>); 5] {
    [
        (aws_source::ENVIRONMENT, Box::new(EnvironmentVariableCredentialsProvider::new())),
        (aws_source::PROFILE, Box::new(ProfileFileCredentialsProvider::builder().configure(config).build())),
        (
            aws_source::WEB_IDENTITY,
            Box::new(WebIdentityTokenCredentialsProvider::builder().configure(config).build()),
        ),
        (aws_source::CONTAINER, Box::new(EcsCredentialsProvider::builder().configure(config).build())),
        (
            aws_source::INSTANCE_METADATA,
            Box::new(ImdsCredentialsProvider::builder().configure(config).build()),
        ),
    ]
}

async fn configured_region(config: &ProviderConfig) -> Option<Region> {
    if let Some(region) = EnvironmentVariableRegionProvider::new().region().await {
        return Some(region);
    }
    ProfileFileRegionProvider::builder().configure(config).build().region().await
}

async fn instance_region(config: &ProviderConfig) -> Option<Region> {
    ImdsRegionProvider::builder().configure(config).build().region().await
}

/// The causes of an error in one line. The error itself only states that there are no credentials.
fn explanation(error: &CredentialsError) -> String {
    let text = std::error::Error::source(error)
        .map_or_else(|| messages::aws_source_not_configured().to_owned(), report);
    // The library's own text addresses people who compile it.
    if text.contains("cargo feature") {
        return messages::unsupported_aws_profile().to_owned();
    }
    text.chars().filter(|c| !c.is_control()).take(LONGEST_PROBLEM).collect()
}
