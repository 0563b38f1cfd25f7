//! The scenario files that come with teamsim.

use harness::scenario::file::read;
use harness::scenario::run::{run, target_of};
use harness::stack::StackConfig;
use tests::{Team, workspace};

async fn play(file: &str) {
    let scenario = read(&workspace("harness/scenarios").join(file)).unwrap();
    let mut config = StackConfig::default();
    config.workbench.runtime = workbench_sim::Runtime::Simulated;
    let team = Team::with(config).await;
    let report = run(&scenario, &target_of(&team.stack, 1, None).unwrap()).await;
    assert!(report.passed(), "{report:#?}");
    assert_eq!(report.outcomes.len(), scenario.steps.len());
}

#[tokio::test]
async fn publish_and_install() {
    play("publish_and_install.toml").await;
}

#[tokio::test]
async fn cut_link() {
    play("cut_link.toml").await;
}
