//! `fast-cloud check` of registries.

use super::hostile::Bystander;
use super::*;
use crate::cloud::CheckOutcome;
use crate::registry::settings::Source;

/// The one line, and what it says: found, or the problem and the advice.
async fn line(address: &str) -> (String, Result<String, (String, String)>) {
    let lines = Registries::new(&section(address)).unwrap().check().await;
    assert_eq!(lines.len(), 1);
    let line = lines.into_iter().next().unwrap();
    let said = match line.outcome {
        CheckOutcome::Works(found) => Ok(found),
        CheckOutcome::Fails { problem, advice } => Err((problem, advice)),
        CheckOutcome::Skipped(why) => panic!("{why}"),
    };
    (line.what, said)
}

async fn fails(answering: impl Fn(&Seen) -> Option<HttpResponse> + Send + Sync + 'static) -> (String, String) {
    let registry = Registry::start(answering);
    let (what, said) = line(&registry.address).await;
    assert_eq!(what, "Mirror of docker.io");
    let (problem, advice) = said.unwrap_err();
    assert!(advice.contains(&registry.address), "{advice}");
    (problem, advice)
}

#[actix_web::test]
async fn one_that_answers_works() {
    let open = Registry::start(|seen| (seen.path == "/v2/").then(|| HttpResponse::Ok().json(json!({}))));
    let (what, said) = line(&open.address).await;
    assert_eq!((what.as_str(), said), ("Mirror of docker.io", Ok(format!("{} answers", open.address))));
    assert_eq!(open.paths(), ["/v2/"], "no image is read");

    // Behind a token, which is handed out; or not for this image.
    for refused in [false, true] {
        let own = Arc::new(Mutex::new(String::new()));
        let realm = own.clone();
        let closed = Registry::start(move |seen| {
            Some(match (seen.path.as_str(), refused) {
                ("/token", false) => HttpResponse::Ok().json(json!({"token": "t0k"})),
                ("/token", true) => HttpResponse::Forbidden().finish(),
                _ => challenge(&format!("{}/token", realm.lock().unwrap())),
            })
        });
        own.lock().unwrap().clone_from(&closed.address);
        assert!(line(&closed.address).await.1.is_ok());
        assert_eq!(closed.paths(), ["/v2/", "/token"]);
    }
}

#[actix_web::test]
async fn one_that_does_not_is_said_with_what_to_do() {
    let page = || HttpResponse::Ok().content_type("text/html").body("<html>Sign in to the school's network</html>");
    let (problem, advice) = fails(move |_| Some(page())).await;
    assert!(problem.contains("a web page") && advice.contains("registries.mirrors"), "{problem} {advice}");
    let (problem, _) = fails(|_| None).await;
    assert!(problem.contains("no registry"), "{problem}");
    let (problem, _) = fails(|_| Some(HttpResponse::BadGateway().finish())).await;
    assert!(problem.contains("502"), "{problem}");
    let (problem, advice) = fails(|_| Some(HttpResponse::TooManyRequests().finish())).await;
    assert!(problem.contains("rate limit") && advice.contains("limit"), "{problem} {advice}");
    let basic = || HttpResponse::Unauthorized().insert_header(("WWW-Authenticate", "Basic realm=\"x\"")).finish();
    let (problem, advice) = fails(move |_| Some(basic())).await;
    assert!(problem.contains("login") && advice.contains("without a login"), "{problem} {advice}");
    fails(|_| Some(endless())).await;
    let (problem, _) = fails(|_| Some(dripping())).await;
    assert!(problem.contains("within 1 seconds"), "{problem}");

    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (problem, advice) = line(&format!("http://{closed}")).await.1.unwrap_err();
    assert!(problem.contains(&closed.to_string()) && advice.contains(&closed.to_string()), "{problem} {advice}");
}

#[actix_web::test]
async fn a_private_address_is_contacted_only_as_the_mirror_that_was_named() {
    let bystander = Bystander::start().await;
    for address in bystander.addresses() {
        let to = address.clone();
        fails(move |_| Some(redirect(&to))).await;
        let realm = address.clone();
        fails(move |_| Some(challenge(&realm))).await;
        let source = Source { address: address.parse().unwrap(), trusted: vec![] };
        let registries = Registries::new(&section("http://127.0.0.1:1")).unwrap();
        let answer = registries.ask(&source).await;
        assert!(matches!(answer, Err(RegistryError::Unavailable(_))), "{address}: {answer:?}");
    }
    bystander.assert_left_alone().await;
}

#[actix_web::test]
async fn each_registry_has_a_line_and_none_waits_for_another() {
    let silent = Registry::start(|_| None);
    silent.state.permits.forget_permits(1000);
    let open = Registry::start(|_| Some(HttpResponse::Ok().finish()));
    let mut section = section(&silent.address);
    section.allowed = vec!["docker.io".to_owned(), "quay.example".to_owned(), "ghcr.example".to_owned()];
    section.mirrors.push(format!("quay.example={}", silent.address));
    section.mirrors.push(format!("ghcr.example={}", open.address));
    let began = Instant::now();
    let lines = Registries::new(&section).unwrap().check().await;
    assert!(began.elapsed() < Duration::from_millis(1900), "{:?}", began.elapsed());
    let said: Vec<(&str, bool)> =
        lines.iter().map(|line| (line.what.as_str(), matches!(line.outcome, CheckOutcome::Works(_)))).collect();
    assert_eq!(
        said,
        [("Mirror of docker.io", false), ("Mirror of quay.example", false), ("Mirror of ghcr.example", true)]
    );
}
