//! People sign in to Package Manager with the identity provider of Connect, and programs come with its tokens.

use pkgmgr_sim::identity::{Access, Provider, Settings, Trust};
use serde_json::{Value, json};
use sim_kit::{Host, HostConfig, WorldConfig};

#[tokio::test]
async fn package_manager_takes_the_word_of_an_identity_provider() {
    let host = || HostConfig {
        world: WorldConfig { frozen_at: "2026-01-05T08:00:00Z".parse().ok(), ..WorldConfig::default() },
        ..HostConfig::default()
    };
    let config = connect_sim::Config { built_in_identity_provider: true, ..connect_sim::Config::default() };
    let (client_id, client_secret) = config.oidc_client();
    let connect = Host::start(connect_sim::product(config), host()).await.unwrap();
    let issuer = format!("{}/__idp__", connect.url());
    let scope = Access::list("repos:read:*").unwrap();
    let trust = |name: &str, audience: &str| Trust {
        issuer: issuer.clone(),
        audience: Some(audience.to_owned()),
        scope: scope.clone(),
        ..Trust::new(name)
    };
    let provider = Provider {
        trust: trust("OpenIDConnect", &client_id),
        client_id: client_id.clone(),
        client_secret,
        custom_scope: Vec::new(),
        no_groups_scope: false,
        max_age: None,
        no_pkce: false,
    };
    let mut identity =
        Settings { provider: Some(provider), federation: vec![trust("ci", "pm")], ..Settings::default() };
    identity.groups.insert("analysts".to_owned(), Access::list("global:admin").unwrap());
    let config =
        pkgmgr_sim::Config { identity, sync: false, ..pkgmgr_sim::Config::new("http://127.0.0.1:9".parse().unwrap()) };
    let packages = Host::start(pkgmgr_sim::product(config), host()).await.unwrap();

    let client = sim_kit::http_client::client(|builder| builder.redirect(reqwest::redirect::Policy::none()));
    let control = async |path: &str, body: Value| {
        let url = format!("{}/__sim__/v1/idp/{path}", connect.url());
        let answer = client.post(url).json(&body).send().await.unwrap();
        assert!(answer.status().is_success(), "{path}: {}", answer.text().await.unwrap());
        answer.json::<Value>().await.unwrap_or_default()
    };
    // Dana is an analyst, Erik is not.
    for (who, status) in [("dana", 200), ("erik", 403)] {
        control("choose", json!({ "username": who })).await;
        let header = |answer: &reqwest::Response, name: &str| answer.headers()[name].to_str().unwrap().to_owned();
        let sent = client.get(format!("{}/__login__", packages.url())).send().await.unwrap();
        let way = header(&sent, "set-cookie").split(';').next().unwrap().to_owned();
        let back = client.get(header(&sent, "location")).send().await.unwrap();
        assert_eq!(back.status(), 303, "{}", back.text().await.unwrap());
        let signed_in = client.get(header(&back, "location")).header("cookie", way).send().await.unwrap();
        let session = header(&signed_in, "set-cookie").split(';').next().unwrap().to_owned();
        assert_eq!(signed_in.status(), 200);
        let tokens = format!("{}/client/view/admin/tokens", packages.url());
        let page = client.get(tokens).header("cookie", session).send().await.unwrap();
        assert_eq!(page.status(), status);
        assert!(page.text().await.unwrap().contains(who));
    }

    let token = control("tokens", json!({ "claims": { "aud": "pm", "sub": "job" } })).await;
    let form = [
        ("grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"),
        ("subject_token", token["token"].as_str().unwrap()),
        ("subject_token_type", "urn:ietf:params:oauth:token-type:id_token"),
    ];
    let answer = client.post(format!("{}/__api__/token", packages.url())).form(&form).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    let token = answer.json::<Value>().await.unwrap()["access_token"].as_str().unwrap().to_owned();
    let packages_of = format!("{}/__api__/tokens", packages.url());
    assert_eq!(client.get(packages_of).bearer_auth(&token).send().await.unwrap().status(), 403, "it only reads");
    assert_eq!(client.get(packages.url()).bearer_auth(&token).send().await.unwrap().status(), 200, "it is good");
}
