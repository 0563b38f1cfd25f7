//! What a service that lies looks like to a client that checks.

use pkg_formats::psp::{self, PspError};
use serde_json::{Value, json};
use sim_kit::faults::{Effect, Matcher, Phase, Rule};

use crate::support::{Service, followed, small};

fn lie(service: &Service, name: &str, value: Value) {
    let effect = Effect::Domain { name: name.into(), value };
    let rule = Rule { id: "lie".into(), matcher: Matcher::default(), phase: Phase::Before, effect };
    service.world.faults().add(rule).unwrap();
}

#[tokio::test]
async fn a_stale_head_is_refused() {
    let service = small().await;
    assert!(service.head("cran").await.is_ok());
    lie(&service, "cran.stale", Value::Null);
    assert!(matches!(service.head("cran").await, Err(PspError::Expired { .. })));
    assert!(service.head("pypi").await.is_ok(), "the other feed is not concerned");
    service.world.faults().clear();
    assert!(service.head("cran").await.is_ok());
}

#[tokio::test]
async fn a_forged_head_is_refused() {
    let service = small().await;
    lie(&service, "pypi.forged", Value::Null);
    assert!(matches!(service.head("pypi").await, Err(PspError::Unsigned { .. })));
}

#[tokio::test]
async fn a_head_that_goes_back_is_refused() {
    let service = small().await;
    let follower = followed(&service, "cran").await;
    lie(&service, "cran.rollback", json!(3));
    let bytes = service.fetch(&psp::head_path("cran")).await;
    let now = service.world.clock().now();
    let result = psp::Head::verify(&bytes, &service.root().await, "cran", now, follower.applied);
    assert!(matches!(result, Err(PspError::Rollback { applied: 24, offered: 21 })), "{result:?}");
}

#[tokio::test]
async fn checkpoints_and_deltas_can_be_missing() {
    let service = small().await;
    let follower = followed(&service, "cran").await;
    lie(&service, "cran.missing", json!(7));
    assert_eq!(service.get(&psp::checkpoint_path("cran", 7)).await.status(), 404);
    assert_eq!(service.get(&psp::checkpoint_path("cran", 8)).await.status(), 200);
    lie(&service, "cran.gone", json!(2));
    let delta = |i: usize| psp::blob_path(&follower.checkpoints[i].delta.digest);
    let gone = service.get(&delta(0)).await;
    assert_eq!(gone.status(), 410);
    assert_eq!(gone.headers()["content-type"], "application/problem+json");
    assert_eq!(service.get(&delta(23)).await.status(), 200);
    let full = &follower.checkpoints[0].full.as_ref().unwrap().digest;
    assert_eq!(service.get(&psp::blob_path(full)).await.status(), 200, "the way out stays open");
}
