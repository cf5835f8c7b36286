//! What StopProvider cancels and what it lets finish.

use std::time::{Duration, Instant};

use kms_emulator::{CONNECTIONS, Fault, Target};
use terraform_provider_kms::plugin::value::Value;

use crate::{
    host::{TIMEOUT, proto, told},
    resource::{apply, config, configured, emulator},
};

pub async fn wait_until(mut done: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < TIMEOUT, "it never happens");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test]
async fn a_write_under_way_finishes_and_is_recorded() {
    let emulator = emulator().await;
    let (_host, provider) = configured(&emulator).await;
    let slow = Fault::slow(Duration::ZERO, Duration::from_millis(700));
    emulator.fault(Target::once("POST", CONNECTIONS), slow);
    let mut creating = provider.clone();
    let create = tokio::spawn(async move { apply(&mut creating, None, &config("analytics", &[])).await });
    wait_until(|| !emulator.connections().is_empty()).await;
    provider.clone().stop_provider(proto::stop_provider::Request {}).await.unwrap();
    let (answer, stored) = tokio::time::timeout(TIMEOUT, create).await.expect("it ends").unwrap();
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
    assert_eq!(stored.state.attribute("id"), Some(&Value::string(&emulator.connection("analytics").id)));

    // Stopping is over with what was under way.
    let (answer, _) = apply(&mut provider.clone(), None, &config("finance", &[])).await;
    assert_eq!(told(&answer.diagnostics), Vec::<String>::new());
}

#[tokio::test]
async fn what_has_not_been_sent_is_cancelled() {
    let emulator = emulator().await;
    let (_host, provider) = configured(&emulator).await;
    let busy = Fault::RateLimited { seconds: 60 };
    emulator.fault(Target::every("POST", CONNECTIONS), busy);
    let mut creating = provider.clone();
    let create = tokio::spawn(async move { apply(&mut creating, None, &config("analytics", &[])).await });
    wait_until(|| emulator.requests().iter().any(|request| request.is("POST", CONNECTIONS))).await;
    provider.clone().stop_provider(proto::stop_provider::Request {}).await.unwrap();
    let (answer, stored) = tokio::time::timeout(TIMEOUT, create).await.expect("it ends").unwrap();
    assert_eq!(told(&answer.diagnostics), ["error [] Stopped"]);
    assert_eq!(stored.state, Value::Null);
    assert!(emulator.connections().is_empty());
}
