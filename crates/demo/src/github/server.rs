//! The REST API: its route table, and what every request passes on its way.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{OriginalUri, RawPathParams, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, Uri};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use tokio_util::sync::CancellationToken;

use super::endpoints::hooks::{self, Of};
use super::endpoints::{actions, app, checks, comments, commits, deployments, repositories};
use super::exchange::{Answer, Call, Refusal};
use super::faults::{Failure, Fault};
use super::model::Model;
use super::shared::{RequestRecord, Shared};
use super::{authorization, jobs, json::time, oidc};

/// What GitHub Enterprise Server has before every path.
pub(super) const ENTERPRISE: &str = "/api/v3";

/// An endpoint below a repository, which it is given the id of.
type RepositoryEndpoint = fn(&mut Model, u64, &Call) -> Result<Answer, Refusal>;
/// Any other.
type Endpoint = fn(&mut Model, &Call) -> Result<Answer, Refusal>;
/// One that reads what belongs to a commit, given as any reference to it.
type CommitEndpoint = fn(&Model, u64, &str, &Call) -> Result<Answer, Refusal>;

pub(super) fn router(shared: &Arc<Shared>, cut: CancellationToken) -> Router {
    let repository = Router::new()
        .route("/", get(in_repository(repositories::show)))
        .route("/branches/{*rest}", get(in_repository(repositories::branch)))
        .route("/rules/branches/{*rest}", get(in_repository(repositories::rules)))
        .route("/commits/{*rest}", get(in_repository(commit)))
        .route("/actions/runs", get(in_repository(actions::runs)))
        .route("/compare/{*rest}", get(in_repository(commits::compare)))
        .route("/pulls/{rest}", get(in_repository(repositories::pull_request)))
        .route("/deployments", get(in_repository(deployments::list)).post(in_repository(deployments::create)))
        .route("/deployments/{rest}", get(in_repository(deployments::show)))
        .route(
            "/deployments/{rest}/statuses",
            get(in_repository(deployments::list_statuses)).post(in_repository(deployments::create_status)),
        )
        .route("/issues/{rest}/comments", get(in_repository(comments::list)).post(in_repository(comments::create)))
        .route("/issues/comments/{rest}", axum::routing::patch(in_repository(comments::edit)))
        .route("/installation", get(in_repository(app::repository_installation)))
        .route("/hooks", get(hooks::list))
        .merge(deliveries("/hooks/{hook}/deliveries", Of::Repository));
    let answer_faults = shared.clone();
    let record = shared.clone();
    let all = Router::new()
        .merge(deliveries("/app/hook/deliveries", Of::App))
        .nest("/repos/{owner}/{repository}", repository.clone())
        .nest("/repositories/{id}", repository)
        .route("/app", get(anywhere(app::show)))
        .route("/app/hook/config", get(anywhere(app::hook_config)))
        .route("/app/installations/{rest}", get(anywhere(app::installation)))
        .route("/app/installations/{rest}/access_tokens", axum::routing::post(anywhere(app::create_token)))
        .route("/rate_limit", get(anywhere(app::rate_limit)))
        .route("/_services/token/.well-known/jwks", get(oidc::key_set))
        .route("/_services/idtoken/{check_run}", get(jobs::token))
        .fallback(|| async { Refusal::not_found() })
        .method_not_allowed_fallback(|| async { Refusal::not_found() })
        .with_state(shared.clone())
        .layer(middleware::from_fn_with_state(shared.clone(), authorize))
        .layer(middleware::from_fn_with_state(answer_faults, fail))
        .layer(middleware::from_fn_with_state((record, cut), keep_record));
    all.clone().nest(ENTERPRISE, all)
}

/// A webhook's log, at this path.
fn deliveries(path: &str, of: Of) -> Router<Arc<Shared>> {
    // Its links name the whole path: they hold a cursor and not a page's number.
    let list = async move |State(shared): State<Arc<Shared>>, parameters: RawPathParams, uri: OriginalUri| {
        hooks::answer(hooks::deliveries(of, &shared, &parameters, &uri.0))
    };
    let show = async move |State(shared): State<Arc<Shared>>, parameters: RawPathParams| {
        hooks::answer(hooks::delivery(of, &shared, &parameters))
    };
    let again = async move |State(shared): State<Arc<Shared>>, parameters: RawPathParams| {
        hooks::answer(hooks::deliver_again(of, &shared, &parameters))
    };
    Router::new()
        .route(path, get(list))
        .route(&format!("{path}/{{delivery}}"), get(show))
        .route(&format!("{path}/{{delivery}}/attempts"), axum::routing::post(again))
}

/// A branch's name may hold slashes, so what is asked of a commit is told by the path's end.
fn commit(model: &mut Model, repository: u64, call: &Call) -> Result<Answer, Refusal> {
    let of: [(&str, CommitEndpoint); 5] = [
        ("/status", commits::combined_status),
        ("/statuses", commits::statuses),
        ("/check-runs", checks::runs),
        ("/check-suites", checks::suites),
        ("/pulls", repositories::pull_requests_of),
    ];
    for (end, endpoint) in of {
        if let Some(reference) = call.rest.strip_suffix(end) {
            return endpoint(model, repository, reference, call);
        }
    }
    commits::show(model, repository, call)
}

fn in_repository(
    endpoint: RepositoryEndpoint,
) -> impl Fn(State<Arc<Shared>>, RawPathParams, Uri, Bytes) -> std::future::Ready<Response> + Clone + Send + Sync + 'static
{
    move |State(shared), parameters, uri, body| {
        if let Some(elsewhere) = moved(&shared.model(), &parameters, &uri) {
            return std::future::ready(elsewhere);
        }
        let answer = || {
            let call = Call::new(parameter(&parameters, "rest").unwrap_or_default(), &uri, &body)?;
            let mut model = shared.model();
            let owner_and_name = (parameter(&parameters, "owner"), parameter(&parameters, "repository"));
            let repository = match owner_and_name {
                (Some(owner), Some(name)) => model.find(&format!("{owner}/{name}")).map(|it| it.id),
                _ => parameter(&parameters, "id").and_then(|id| id.parse().ok()),
            };
            let known = repository.filter(|id| model.repositories.contains_key(id)).ok_or_else(Refusal::not_found)?;
            endpoint(&mut model, known, &call)
        };
        std::future::ready(finish(answer(), &shared))
    }
}

/// A former name leads to the repository, by its id.
fn moved(model: &Model, parameters: &RawPathParams, uri: &Uri) -> Option<Response> {
    let name = format!("{}/{}", parameter(parameters, "owner")?, parameter(parameters, "repository")?);
    let id = model.find_moved(&name)?.id;
    // What is below the repository is all that is left of the address here.
    let rest = uri.path_and_query()?.as_str();
    let rest = rest.strip_prefix("/?").map_or_else(|| rest.to_owned(), |query| format!("?{query}"));
    let rest = if rest == "/" { String::new() } else { rest };
    let to = HeaderValue::from_str(&format!("{}/repositories/{id}{rest}", model.api)).ok()?;
    let mut response = Refusal::new(StatusCode::TEMPORARY_REDIRECT, "Moved Permanently").into_response();
    response.headers_mut().insert(axum::http::header::LOCATION, to);
    Some(response)
}

fn anywhere(
    endpoint: Endpoint,
) -> impl Fn(State<Arc<Shared>>, RawPathParams, Uri, Bytes) -> std::future::Ready<Response> + Clone + Send + Sync + 'static
{
    move |State(shared), parameters, uri, body| {
        let answer = || {
            let call = Call::new(parameter(&parameters, "rest").unwrap_or_default(), &uri, &body)?;
            endpoint(&mut shared.model(), &call)
        };
        std::future::ready(finish(answer(), &shared))
    }
}

fn parameter<'a>(parameters: &'a RawPathParams, name: &str) -> Option<&'a str> {
    parameters.iter().find(|(key, _)| *key == name).map(|(_, value)| value)
}

fn finish(answer: Result<Answer, Refusal>, shared: &Shared) -> Response {
    shared.changed.notify_waiters();
    match answer {
        Ok(answer) => answer.into_response(),
        Err(refusal) => refusal.into_response(),
    }
}

/// Outermost: what was answered is what is recorded, and nothing is answered once the power is off.
async fn keep_record(
    State((shared, cut)): State<(Arc<Shared>, CancellationToken)>,
    request: Request,
    next: Next,
) -> Response {
    let method = request.method().clone();
    let asked = request.extensions().get::<OriginalUri>().map_or(request.uri(), |OriginalUri(uri)| uri);
    let (path, query) = (asked.path().to_owned(), asked.query().unwrap_or_default().to_owned());
    let answered = async {
        let request = shared.recorder.request(request).await;
        next.run(request).await
    };
    let mut answer = tokio::select! {
        answer = answered => answer,
        () = cut.cancelled() => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    };
    shared.record(RequestRecord { method, path, query, status: answer.status().as_u16() });
    let now = jiff::Timestamp::now() - jiff::SignedDuration::from_secs(shared.model().clock_back);
    let in_an_hour = (now.as_second() + 3600).to_string();
    let headers = [
        ("x-github-media-type", "github.v3; format=json"),
        ("x-ratelimit-limit", "5000"),
        ("x-ratelimit-remaining", "4999"),
        ("x-ratelimit-used", "1"),
        ("x-ratelimit-resource", "core"),
        ("x-ratelimit-reset", in_an_hour.as_str()),
        ("x-github-request-id", "ABCD:123456:7890AB:CDEF01:23456789"),
        ("last-modified", &time(now)),
        ("date", &jiff::fmt::rfc2822::to_string(&now.to_zoned(jiff::tz::TimeZone::UTC)).unwrap_or_default()),
    ];
    for (name, value) in headers {
        if let Ok(value) = HeaderValue::from_str(value) {
            answer.headers_mut().entry(name).or_insert(value);
        }
    }
    answer
}

async fn fail(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    // Before it is struck: a healing in between must not be missed.
    let mut healed = std::pin::pin!(shared.healed.notified());
    for fault in shared.strike(request.method(), request.uri().path()) {
        match fault {
            Fault::Delay(by) => tokio::time::sleep(by).await,
            Fault::Hang => healed.as_mut().await,
            Fault::Fail(failure) => {
                if failure.after_the_effect {
                    next.run(request).await;
                }
                return failed(&failure);
            }
        }
    }
    next.run(request).await
}

fn failed(failure: &Failure) -> Response {
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = Refusal::new(status, status.canonical_reason().unwrap_or("Unknown")).into_response();
    for (name, value) in &failure.headers {
        let header = (HeaderName::try_from(name), HeaderValue::try_from(value));
        if let (Ok(name), Ok(value)) = header {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

async fn authorize(State(shared): State<Arc<Shared>>, request: Request, next: Next) -> Response {
    let refused = authorization::check(&request, &shared.model()).err();
    match refused {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}
