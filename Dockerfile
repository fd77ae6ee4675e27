# Windlass in two images: `action`, which a job of GitHub Actions runs, and `service`, for `windlass serve` and
# `windlass gateway`. Both are one static binary and the certificates of authorities:
#
#     docker build --tag windlass-action .
#     docker build --tag windlass --target service .
#
# GitHub's runner builds the last stage. BuildKit builds only what a target needs; the engine's older builder builds
# whatever stands above it, which is why the action's files come before all that is the service's alone.

ARG BUILDER_IMAGE=rust:1.95-bookworm
# Of another base than the empty one, the service can run tools: `ssh` to reach hosts, a secret's own command.
ARG RUNTIME_IMAGE=scratch
# Of what only has to run soon, as in tests, 0.
ARG OPT_LEVEL=3

# What says what the sources are made from, in one layer: the engine's older builder takes its time for each.
FROM ${BUILDER_IMAGE} AS manifests
WORKDIR /sources
COPY . .
RUN mkdir /manifests && find . -name Cargo.toml -exec cp --parents {} /manifests ';' && cp Cargo.lock /manifests

FROM ${BUILDER_IMAGE} AS builder
ARG OPT_LEVEL
WORKDIR /windlass
# What is not linked statically would need the builder's C library in the empty image. Only with an explicit target do
# these flags spare macros and build scripts, which cannot be static.
ENV RUSTFLAGS="-C target-feature=+crt-static"
ENV CARGO_PROFILE_RELEASE_OPT_LEVEL=${OPT_LEVEL}
RUN mkdir --parents /runtime/etc/ssl/certs \
    && cp --dereference /etc/ssl/certs/ca-certificates.crt /runtime/etc/ssl/certs/ \
    && mkdir --parents --mode=1777 /runtime/tmp

# The dependencies, behind sources without content: a layer that lasts until a manifest changes.
COPY --from=manifests /manifests/ ./
RUN mkdir --parents benches src \
    && echo 'fn main() {}' \
        | tee benches/activate.rs benches/deliveries.rs fixtures/sample-app/main.rs > src/main.rs \
    && for package in crates/* webhook; do mkdir --parents "$package/src" && touch "$package/src/lib.rs"; done \
    && cargo build --release --locked --package windlass --no-default-features --target "$(uname -m)-unknown-linux-gnu"

FROM builder AS build-action
COPY fixtures/config fixtures/config
COPY crates/core crates/core
COPY crates/docker crates/docker
COPY crates/images crates/images
COPY crates/registry crates/registry
COPY src src
COPY workflows workflows
# Cargo compares times, and these sources may be older than the ones they replace.
RUN touch crates/*/src/lib.rs src/main.rs \
    && target=$(uname -m)-unknown-linux-gnu \
    && cargo build --release --locked --package windlass --no-default-features --target "$target" \
    && cp "target/$target/release/windlass" /runtime/

# A container action's image: no USER and no WORKDIR, which are the runner's to choose.
FROM ${RUNTIME_IMAGE} AS action-files
COPY --from=build-action /runtime/ /
ENTRYPOINT ["/windlass", "action"]

FROM builder AS build-service
COPY . .
RUN touch crates/*/src/lib.rs webhook/src/lib.rs src/main.rs \
    && target=$(uname -m)-unknown-linux-gnu \
    && cargo build --release --locked --package windlass --no-default-features --features service --target "$target" \
    && cp "target/$target/release/windlass" /runtime/

FROM ${RUNTIME_IMAGE} AS service
COPY --from=build-service /runtime/ /
ENTRYPOINT ["/windlass"]

FROM action-files AS action
