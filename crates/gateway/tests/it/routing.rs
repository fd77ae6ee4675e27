use hyper::Request;
use windlass_core::gateway::{Route, ServiceKey};

use crate::backend::Backend;
use crate::client::{self, Client};
use crate::harness::{Front, HOST, route, spec};

#[tokio::test]
async fn requests_go_where_host_and_longest_path_lead() {
    let front = Front::start().await;
    let (shop, api) = (Backend::start("shop").await, Backend::start("api").await);
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let mut other = spec(1, &[&api]);
    other.key = ServiceKey("1/production/api".to_owned());
    other.routes = vec![route("SHOP.test", "/api/"), route("api.test", "/")];
    front.control.switch(other).await.unwrap();

    for (host, path, expected) in [
        (HOST, "/", "shop"),
        (HOST, "/apis", "shop"),
        (HOST, "/api", "api"),
        (HOST, "/api/v1?x=/", "api"),
        ("SHOP.TEST:8080", "/", "shop"),
        ("api.test", "/anything", "api"),
    ] {
        assert_eq!(client::fetch(front.http(), host, path).await, (200, expected.to_owned()), "{host}{path}");
    }
    let mut client = Client::connect(front.http()).await;
    assert_eq!(client.get("nobody.test", "/").await.unwrap().0, 404);
    assert_eq!(client.get(HOST, "/").await.unwrap().0, 200, "the connection is still good");
}

#[tokio::test]
async fn a_route_belongs_to_one_service() {
    let front = Front::start().await;
    let (shop, thief) = (Backend::start("shop").await, Backend::start("thief").await);
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let mut other = spec(1, &[&thief]);
    other.key = ServiceKey("2/production/default".to_owned());
    other.routes = vec![route("thief.test", "/"), route("Shop.test", "/")];

    let problem = front.control.switch(other.clone()).await.unwrap_err();
    assert_eq!((problem.status, problem.code.as_str()), (409, "route_taken"));
    assert!(problem.detail.unwrap().contains("1/production/default"));
    assert_eq!(front.get("/").await.1, "shop");
    assert_eq!(client::fetch(front.http(), "thief.test", "/").await.0, 404, "nothing of it was done");

    front.control.remove(&spec(2, &[])).await.unwrap();
    front.control.switch(other).await.unwrap();
    assert_eq!(front.get("/").await.1, "thief");
}

#[tokio::test]
async fn a_removed_service_is_gone_and_stays_gone() {
    let front = Front::start().await;
    let shop = Backend::start("shop").await;
    let service = spec(2, &[&shop]);
    front.control.switch(service.clone()).await.unwrap();
    let problem = front.control.remove(&spec(1, &[])).await.unwrap_err();
    assert_eq!(problem.code, "older_generation");
    assert_eq!(front.get("/").await.0, 200);

    front.control.remove(&service).await.unwrap();
    assert_eq!(front.get("/").await.0, 404);
    front.control.remove(&service).await.unwrap();
    assert_eq!(front.control.drained(&service, &["shop"]).await.unwrap().cut, 0);
    assert!(front.control.status().await.services.is_empty());

    assert_eq!(front.control.switch(spec(1, &[&shop])).await.unwrap_err().code, "older_generation");
    assert_eq!(front.control.switch(service).await.unwrap_err().code, "generation_conflict");
    let front = Front::start_in(front.stop().await).await;
    assert_eq!(front.control.switch(spec(1, &[&shop])).await.unwrap_err().code, "older_generation");
    front.control.switch(spec(3, &[&shop])).await.unwrap();
    assert_eq!(front.get("/").await.0, 200);
}

#[tokio::test]
async fn another_name_redirects_with_method_path_and_query() {
    let front = Front::start().await;
    let shop = Backend::start("shop").await;
    let mut service = spec(1, &[&shop]);
    service.routes.push(redirect("www.shop.test", "https://shop.test:8443"));
    front.control.switch(service).await.unwrap();

    let mut client = Client::connect(front.http()).await;
    let request = Request::post("/a//b?c=d%20e").header("host", "WWW.shop.test").body(client::nothing()).unwrap();
    let response = client.send(request).await.unwrap();
    assert_eq!(response.status(), 308);
    assert_eq!(response.headers()["location"], "https://shop.test:8443/a//b?c=d%20e");
    assert_eq!(front.get("/").await, (200, "shop".to_owned()));
}

#[tokio::test]
async fn a_place_that_redirects_belongs_to_one_service_too() {
    let front = Front::start().await;
    let (shop, thief) = (Backend::start("shop").await, Backend::start("thief").await);
    front.control.switch(spec(1, &[&shop])).await.unwrap();
    let mut other = spec(1, &[&thief]);
    other.key = ServiceKey("2/production/default".to_owned());
    other.routes = vec![route("thief.test", "/"), redirect(HOST, "https://thief.test")];
    assert_eq!(front.control.switch(other).await.unwrap_err().code, "route_taken");
}

#[tokio::test]
async fn of_many_names_one_is_asked_for_health_and_each_leads_to_the_app() {
    let front = Front::start().await;
    let (shop, exact) = (Backend::start("shop").await, Backend::start("exact").await);
    let mut many = spec(1, &[&shop]);
    many.routes = vec![route("*.shop.test", "/")];
    front.control.switch(many).await.unwrap();
    assert_eq!(*shop.knobs.probed_as.lock().unwrap(), "health.shop.test");
    let mut one = spec(1, &[&exact]);
    one.key = ServiceKey("1/production/exact".to_owned());
    one.routes = vec![route("eu.shop.test", "/api")];
    front.control.switch(one).await.unwrap();

    for (host, path, expected) in
        [("us.shop.test", "/", "shop"), ("eu.shop.test", "/api", "exact"), ("eu.shop.test", "/", "shop")]
    {
        assert_eq!(client::fetch(front.http(), host, path).await, (200, expected.to_owned()), "{host}{path}");
    }
    assert_eq!(client::fetch(front.http(), "a.b.shop.test", "/").await.0, 404);
    assert_eq!(client::fetch(front.http(), "shop.test", "/").await.0, 404);
}

fn redirect(host: &str, to: &str) -> Route {
    Route { redirect: Some(to.to_owned()), ..route(host, "/") }
}
