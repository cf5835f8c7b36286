//! Rate limits slow a run down, they don't fail it.

use std::time::{Duration, Instant};

use kms_emulator::{Credentials, Options, PROJECT_ID, rate_limit::RateLimits};

use crate::harness::workspace::{Workspace, configuration, connection, under_each_terraform};

fn many() -> String {
    let arguments = [
        ("for_each", "toset([for number in range(12) : tostring(number)])"),
        ("name", "\"orders-${each.key}\""),
    ];
    configuration(&[connection("many", &arguments)])
}

#[test]
fn more_writes_than_the_limit_allows_take_longer_and_succeed() {
    under_each_terraform(|version| {
        let limits = RateLimits { writes: 5, reads: 2, window_seconds: 2, ..RateLimits::default() };
        let workspace = Workspace::with(version, Options { rate_limits: Some(limits), ..Options::default() });
        workspace.set_token("dbtu_sl0wBut5ur3K9j8h7g6");
        workspace.write("main.tf", &many());
        let start = Instant::now();
        workspace.apply().succeeded();
        assert!(start.elapsed() > Duration::from_secs(4), "twelve writes fill two windows and begin a third");
        assert_eq!(workspace.emulator.connections().len(), 12);
        let refused = workspace.emulator.writes().iter().filter(|write| write.status == Some(429)).count();
        assert!(refused <= 10, "{refused} refusals: the limit is watched, not run into again and again");
        workspace.assert_clean();
    });
}

#[test]
fn a_wait_longer_than_allowed_is_an_error_that_says_so() {
    under_each_terraform(|version| {
        let limits = RateLimits { writes: 5, ..RateLimits::default() };
        let workspace = Workspace::with(version, Options { rate_limits: Some(limits), ..Options::default() });
        workspace.set_token("dbtu_t00Sl0wF0rMe1q2w3e4");
        workspace.set("KMS_MAX_RETRY_WAIT", "1s");
        workspace.write("main.tf", &many());
        let start = Instant::now();
        let outcome = workspace.apply().failed();
        assert!(start.elapsed() < Duration::from_secs(20));
        assert_eq!(outcome.errors().len(), 7, "{outcome:#?}");
        assert!(outcome.errors()[0].says(&["rate limit", "max_retry_wait"]), "{outcome:#?}");
        assert_eq!(workspace.emulator.connections().len(), 5);
    });
}

#[test]
fn more_lookups_than_the_limit_allows_share_a_list() {
    under_each_terraform(|version| {
        let options = Options { rate_limits: Some(RateLimits::default()), ..Options::default() };
        let workspace = Workspace::with(version, options);
        let kms = &workspace.emulator;
        let credentials = Credentials::new("https://emea.dbt.com", "67890", "dbtu_l00kUpM4nyT0k3n5");
        workspace.secret("dbtu_l00kUpM4nyT0k3n5");
        let ids: Vec<_> = (0..100)
            .map(|number| kms.create(&format!("sales-{number}"), Some(PROJECT_ID), &credentials))
            .collect();
        let lookups = format!(
            r#"
data "kms_dbt_connection" "by_name" {{
  count      = 100
  name       = "sales-${{count.index}}"
  project_id = "{PROJECT_ID}"
}}

data "kms_dbt_connection" "by_id" {{
  for_each = toset({ids:?})
  id       = each.key
}}
"#
        );
        workspace.write("main.tf", &lookups);
        workspace.run(&["plan"]).succeeded();
        let reads = kms.requests().into_iter().filter(|request| request.method == "GET").count();
        assert!(reads <= 6, "{reads} reads");
    });
}
