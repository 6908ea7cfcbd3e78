# syntax=docker/dockerfile:1
ARG RUST_VERSION=1.95
# Both stages use the same release, because the binary needs the glibc that it was linked against.
ARG DEBIAN_RELEASE=trixie

FROM rust:${RUST_VERSION}-slim-${DEBIAN_RELEASE} AS build
WORKDIR /build
# .dockerignore selects the files. It includes the tests, because cargo reads the manifests of the whole workspace and
# requires every target in them to exist, even to build one package.
COPY . .
# The image has no git history. `--build-arg COMMIT=$(git rev-parse HEAD)` sets the commit for `--version`.
ARG COMMIT=
ENV DURABLE_INVENTORY_COMMIT=${COMMIT}
# The caches are mounts, not layers, so a changed source file does not rebuild every dependency.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/build/target \
    cargo build --release --locked -p durable-inventory \
    && install -D target/release/durable-inventory /out/durable-inventory

FROM debian:${DEBIAN_RELEASE}-slim
# Needed for https to Cloudflare and TLS to the database. Debian soon removes old package versions, so none is pinned.
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin inventory
COPY --from=build /out/durable-inventory /usr/local/bin/durable-inventory
# Kubernetes can only verify runAsNonRoot with a numeric id.
USER 10001:10001
# The image contains no PostgreSQL server, so DATABASE_URL is required.
ENTRYPOINT ["/usr/local/bin/durable-inventory"]
CMD ["--help"]
