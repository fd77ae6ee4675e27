//! A deployment's page: its steps and its live log. Without scripts it still shows all that there is.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{Html, IntoResponse, Response};
use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use windlass_core::api::{DeploymentMessage, DeploymentView, MessageBody, StepState, StepView};
use windlass_core::plain::{cut, plain};
use windlass_core::quantity::tenths;
use windlass_core::report;

use crate::http::audience::Audience;
use crate::service::Service;
use crate::tell::view;

const STYLE: &str = include_str!("deployment.css");
const SCRIPT: &str = include_str!("deployment.js");

/// The page. Its address cannot be guessed, and it holds no secret.
pub(crate) async fn page(
    State(service): State<Arc<Service>>,
    State(audience): State<Arc<Audience>>,
    Path(id): Path<String>,
) -> Response {
    match content(&service, &audience, &id).await {
        Ok(markup) => {
            // One random word a page: only this page's own script runs.
            let nonce = hex::encode(rand::random::<[u8; 16]>());
            let policy = format!(
                "default-src 'none'; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; connect-src 'self'; \
                 base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
            );
            let headers = [
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::REFERRER_POLICY, "no-referrer".to_owned()),
                (header::CACHE_CONTROL, "no-store".to_owned()),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ];
            (headers, Html(layout(&markup, &nonce).into_string())).into_response()
        }
        Err(error) => error.into_response(),
    }
}

struct Content {
    view: DeploymentView,
    /// The first and the last ones.
    messages: Vec<DeploymentMessage>,
    last: Vec<DeploymentMessage>,
}

/// Whatever a line of an older store has, it is shown up to here.
const LINE: usize = 8 * 1024;

/// The log as it is kept, as text.
pub(crate) async fn log(
    State(service): State<Arc<Service>>,
    State(audience): State<Arc<Audience>>,
    Path(id): Path<String>,
) -> Result<Response, crate::http::ApiError> {
    let deployment = crate::http::find_deployment(&service, &id).await?;
    Ok(crate::http::log_as_text(service, deployment.id, Some(audience)).await?)
}

async fn content(service: &Service, audience: &Audience, id: &str) -> Result<Content, crate::http::ApiError> {
    // Strangers' pages leave the store's readers to others.
    let _turn = audience.page().await;
    let deployment = crate::http::find_deployment(service, id).await?;
    let plan = service.store.plan(&deployment.id).await?;
    let messages = service.store.messages(&deployment.id, 0, plan.as_ref()).await?;
    let seen = messages.last().map_or(0, |message| message.seq);
    let last = service.store.last_messages(&deployment.id, seen, plan.as_ref()).await?;
    Ok(Content { view: view::deployment_view(service, &deployment).await?, messages, last })
}

fn layout(content: &Content, nonce: &str) -> Markup {
    let Content { view, messages, last } = content;
    let title = report::title(view.kind, &view.releases);
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) " · " (view.project) " · " (view.stage) }
                style nonce=(nonce) { (PreEscaped(STYLE)) }
            }
            body data-state=(view.state) {
                header {
                    p .where { (view.project) " · " (view.stage) }
                    h1 { (title) }
                    p #state .state { (view.state) }
                }
                (summary(view))
                section aria-label="Steps" { ol #steps { @for step in &view.steps { (step_line(step)) } } }
                section aria-label="Log" {
                    pre #log {
                        @for message in messages { (log_line(message)) }
                        @if let (Some(before), Some(after)) = (messages.last(), last.first()) {
                            @if after.seq > before.seq + 1 {
                                span data-seq=(before.seq) { "… " (after.seq - before.seq - 1) " lines are not shown here …\n" }
                            }
                        }
                        @for message in last { (log_line(message)) }
                    }
                    p { a href={ "/deployments/" (view.id) "/log" } { "The whole log as text" } }
                }
                script nonce=(nonce) { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

fn summary(view: &DeploymentView) -> Markup {
    html! {
        dl {
            @if report::commits(&view.commits).is_some() {
                dt { "Commits" } dd { @for (app, commit) in &view.commits { p { (app) " " code { (commit) } } } }
            } @else { dt { "Commit" } dd { code { (view.commit) } } }
            dt { "Asked for by" } dd { (view.requested_by) }
            @if let Some(reason) = &view.given_reason { dt { "Because" } dd { (plain(reason)) } }
            dt { "At" } dd { time datetime=(datetime(view.created_at)) data-day { (view.created_at.strftime("%Y-%m-%d %H:%M:%S UTC")) } }
            @if let Some(url) = &view.environment_url { dt { "URL" } dd { a href=(url) { (url) } } }
        }
        @if let Some(failure) = &view.failure {
            section .failure role="alert" {
                p { strong { (failure.summary) } }
                @if let Some(hint) = &failure.hint { p { (hint) } }
                @if !failure.log.is_empty() { pre { @for line in &failure.log { (plain(line)) "\n" } } }
            }
        } @else if let Some(why) = &view.why {
            p .waiting { (why) }
        }
        @if let Some(gate_override) = &view.gate_override { p .waiting role="status" { (gate_override) } }
        @if let Some(kept) = report::migrations_kept(&view.migrations_kept) { p .waiting role="status" { (kept) } }
        @for warning in &view.warnings { p .waiting role="status" { (warning) } }
    }
}

fn step_line(step: &StepView) -> Markup {
    let state = match step.state {
        StepState::Pending => "pending",
        StepState::Running => "running",
        StepState::Done => "done",
        StepState::Failed => "failed",
        StepState::Skipped => "skipped",
    };
    html! {
        li class=(state) {
            span .mark { (state) } " "
            strong { (step.step) } " " (shortened(&step.title))
            @if let (Some(started), Some(ended)) = (step.started_at, step.ended_at) {
                " " span .time { (tenths(started, ended)) " s" }
            }
            @if let Some(note) = &step.note { p { (shortened(note)) } }
        }
    }
}

fn log_line(message: &DeploymentMessage) -> Markup {
    // The reader's own clock is the script's to know.
    let time = html! { time datetime=(datetime(message.at)) { (message.at.strftime("%H:%M:%S UTC")) } };
    html! {
        @match &message.body {
            MessageBody::Event { text, .. } => { span .event data-seq=(message.seq) { (time) " " (text) "\n" } }
            MessageBody::Log { source, line } => { span data-seq=(message.seq) { (time) " " (source) ": " (cut(&plain(line), LINE)) "\n" } }
        }
    }
}

fn datetime(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// Digests by their beginning; the whole is where the mouse points.
fn shortened(text: &str) -> Markup {
    const ALGORITHM: &str = "sha256:";
    let mut pieces = text.split(ALGORITHM);
    let first = pieces.next().unwrap_or_default();
    html! {
        (first)
        @for piece in pieces {
            @let (digest, rest) = piece.split_at(piece.find(|c: char| !c.is_ascii_hexdigit()).unwrap_or(piece.len()));
            @if digest.len() == 64 {
                abbr title={ (ALGORITHM) (digest) } { (ALGORITHM) (&digest[..12]) } (rest)
            } @else { (ALGORITHM) (piece) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_shown_by_its_beginning_and_what_only_looks_like_one_as_it_is() {
        let digest = "ab".repeat(32);
        let shown =
            shortened(&format!("have <x>@sha256:{digest} on a, sha256:{digest} on b, sha256:abc")).into_string();
        let short = format!("<abbr title=\"sha256:{digest}\">sha256:abababababab</abbr>");
        assert_eq!(shown, format!("have &lt;x&gt;@{short} on a, {short} on b, sha256:abc"));
    }
}
