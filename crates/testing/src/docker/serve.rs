//! What a running app answers over HTTP.

use std::convert::Infallible;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderValue, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::service::service_fn;

use super::app::{App, Behaviour};
use super::container::Condition;
use super::lifecycle::Launch;

/// Where it says whether it is well.
const UP: &str = "/up";
/// With a number of milliseconds after it: answered that late.
const SLOW: &str = "/slow/";

/// The app of this container's life.
pub(super) fn app(
    launch: &Launch,
) -> impl hyper::service::Service<
    Request<Incoming>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
> + Clone
+ Send
+ 'static {
    let (app, condition) = (launch.app.clone(), launch.process.condition.clone());
    let requests = launch.requests.clone();
    let body = format!("release {}\n", launch.release);
    let task = HeaderValue::from_str(&launch.name).unwrap_or_else(|_| HeaderValue::from_static("nameless"));
    service_fn(move |request: Request<Incoming>| {
        requests.fetch_add(1, Ordering::Relaxed);
        let path = request.uri().path();
        let is_well = path != UP || is_up(&app, &condition);
        let delay = path.strip_prefix(SLOW).and_then(|time| time.parse().ok()).map(Duration::from_millis);
        let (body, task) = (body.clone(), task.clone());
        async move {
            if let Some(delay) = delay {
                tokio::time::sleep(delay).await;
            }
            let mut response = Response::new(Body::from(body));
            if !is_well {
                *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            }
            response.headers_mut().insert("x-task", task);
            Ok(response)
        }
    })
}

pub(super) fn is_up(app: &App, condition: &Condition) -> bool {
    app.behaviour != Behaviour::NeverHealthy && !condition.is_sick()
}
