//! The API's description, which `/api/v1/openapi.json` answers. Each handler describes what is its own; what follows from
//! the shape of a request (it takes a token, names something, has a body) is added here, the same to all of them.

use axum::body::Bytes;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use utoipa::openapi::path::{Operation, ParameterIn};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{Http as Scheme, HttpAuthScheme, SecurityRequirement, SecurityScheme};
use utoipa::openapi::tag::Tag;
use utoipa::openapi::{Components, Content, Info, OpenApi, OpenApiBuilder, PathItem, Ref, RefOr, ServerBuilder};
use utoipa::{PartialSchema, ToSchema};
use windlass_core::problem::{MEDIA_TYPE, Problem};

/// The media type of server-sent events.
const EVENTS: &str = "text/event-stream";

const TOKEN: &str = "token";

const ABOUT: &str = "The API of the Windlass service. Every answer that is not a success is a problem (RFC 9457) whose \
                     `code` is stable. A client may say its version in the header `windlass-version`; one that is too \
                     far from the service's is turned away with `version_unsupported`.";

const TAGS: [(&str, &str); 7] = [
    ("stages", "Stages: what they serve, and what a deployment would do"),
    ("releases", "Releases: images with a number"),
    ("deployments", "Deployments, rollbacks and redeploys"),
    ("tasks", "Containers, and one-off tasks"),
    ("locks", "Locks of people"),
    ("hosts", "Hosts, and the service itself"),
    ("sign-in", "Sign-in of jobs"),
];

/// What the handlers' own descriptions are added to.
pub(super) fn begin() -> OpenApi {
    let mut components = Components::new();
    components.schemas.insert(Problem::name().into_owned(), Problem::schema());
    let mut token = Scheme::new(HttpAuthScheme::Bearer);
    token.description = Some(
        "A person's or a program's, which `windlass token create` makes, or that of a job which signed in".to_owned(),
    );
    components.add_security_scheme(TOKEN, SecurityScheme::Http(token));
    let tags = TAGS.map(|(name, description)| {
        let mut tag = Tag::new(name);
        tag.description = Some(description.to_owned());
        tag
    });
    let mut info = Info::new("Windlass", env!("CARGO_PKG_VERSION"));
    info.description = Some(ABOUT.to_owned());
    OpenApiBuilder::new()
        .info(info)
        .servers(Some([ServerBuilder::new().url("/api/v1").build()]))
        .components(Some(components))
        .security(Some([SecurityRequirement::new(TOKEN, Vec::<String>::new())]))
        .tags(Some(tags))
        .build()
}

/// The description as it is answered.
///
/// # Panics
///
/// When it cannot be written as JSON, which does not depend on anything that happens.
pub(super) fn finish(mut description: OpenApi) -> Bytes {
    for item in description.paths.paths.values_mut() {
        operations(item).for_each(complete);
    }
    description.to_pretty_json().expect("a description is JSON").into()
}

/// Answers it.
pub(super) fn answer(description: Bytes) -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "application/json")], description)
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    let PathItem { get, put, post, delete, .. } = item;
    [get, put, post, delete].into_iter().flatten()
}

/// Adds what the operation may be refused with, and says of each refusal that it is a [`Problem`].
fn complete(operation: &mut Operation) {
    for (status, description) in refusals(operation) {
        let responses = &mut operation.responses.responses;
        responses
            .entry(status.as_str().to_owned())
            .or_insert_with(|| RefOr::T(ResponseBuilder::new().description(description).build()));
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            if status.starts_with(['4', '5']) {
                say_problem(response);
            }
            say_events(response);
        }
    }
}

fn refusals(operation: &Operation) -> Vec<(StatusCode, &'static str)> {
    let takes = |place: ParameterIn| {
        let parameters = operation.parameters.iter().flatten();
        parameters.into_iter().any(|it| matches!(it, RefOr::T(parameter) if parameter.parameter_in == place))
    };
    let body = operation.request_body.is_some();
    let open = operation.security.is_some();
    let all = [
        (
            true,
            StatusCode::BAD_REQUEST,
            "`bad_path`, `bad_query`, `bad_body` or `version_unsupported`: the request cannot be read",
        ),
        (!open, StatusCode::UNAUTHORIZED, "`unauthenticated`: there is no token, or none that is known"),
        (!open, StatusCode::FORBIDDEN, "`forbidden` or `policy_refused`: the token does not allow it"),
        (takes(ParameterIn::Path), StatusCode::NOT_FOUND, "There is no such thing; the code says what is unknown"),
        (body, StatusCode::PAYLOAD_TOO_LARGE, "`too_large`: the body is larger than any that is taken"),
        (body, StatusCode::UNSUPPORTED_MEDIA_TYPE, "`bad_body`: the body does not say that it is JSON"),
        (body, StatusCode::UNPROCESSABLE_ENTITY, "`bad_body`: the body is not what is expected"),
        (true, StatusCode::SERVICE_UNAVAILABLE, "`store_unavailable`: the service cannot read or write its store"),
    ];
    all.into_iter().filter(|(applies, ..)| *applies).map(|(_, status, description)| (status, description)).collect()
}

fn say_problem(response: &mut Response) {
    let schema = Ref::from_schema_name(Problem::name());
    response.content.entry(MEDIA_TYPE.to_owned()).or_insert_with(|| RefOr::T(Content::new(Some(schema))));
}

/// What a stream of events is described with is what each one's data are.
fn say_events(response: &mut Response) {
    let Some(RefOr::T(content)) = response.content.get_mut(EVENTS) else { return };
    let text = || ObjectBuilder::new().schema_type(Type::String);
    let data = text().content_media_type("application/json").content_schema(content.schema.take());
    let event = ObjectBuilder::new().property("id", text()).property("event", text()).property("data", data);
    content.schema = Some(event.required("event").required("data").into());
}
