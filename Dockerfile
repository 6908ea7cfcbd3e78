# syntax=docker/dockerfile:1
ARG RUST_VERSION=1.95
# One release for both stages: the binary must find the glibc that it was linked against.
ARG DEBIAN_RELEASE=trixie

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /build
# .dockerignore names what gets in. The tests are among it because cargo reads the manifests of the whole workspace and
# wants each target that they name to exist, even when it builds one package.
COPY . .
# There is no history in here to ask: --build-arg COMMIT=$(git rev-parse HEAD) tells it to `--version`.
ARG COMMIT=
ENV DURABLE_INVENTORY_COMMIT=${COMMIT}
# The caches are mounts, not layers: a changed source file does not build every dependency again.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked -p durable-inventory \
    && install -D target/release/durable-inventory /out/durable-inventory

FROM debian:${DEBIAN_RELEASE}-slim
# For https to Cloudflare and TLS to the database. Its version is the Debian release's: a pinned one would soon be gone.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin inventory
COPY --from=build /out/durable-inventory /usr/local/bin/durable-inventory
# By number, so that Kubernetes' runAsNonRoot can tell.
USER 10001:10001
# There are no PostgreSQL server programs in here: DATABASE_URL has to be set.
ENTRYPOINT ["/usr/local/bin/durable-inventory"]
CMD ["--help"]
