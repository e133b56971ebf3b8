# syntax=docker/dockerfile:1
# One static binary on nothing: no shell, no libc, no package to patch.
#   docker build -t countersign .
#   docker run -p 8080:8080 -v countersign:/data -e COUNTERSIGN_UPSTREAM=https://auth.example.com countersign
# For another architecture: docker buildx build --platform linux/arm64 …
# With musl instead of glibc: docker build --build-arg LIBC=musl …
ARG LIBC=glibc

FROM rust:1.91-slim-bookworm AS tools-glibc
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# pingora builds zlib-ng and aws-lc is C: a compiler and cmake.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake gcc g++ libc6-dev make \
 && rm -rf /var/lib/apt/lists/*

FROM rust:1.91-alpine AS tools-musl
# hadolint ignore=DL3018
RUN apk add --no-cache bash cmake g++ gcc linux-headers make musl-dev perl

# hadolint ignore=DL3006
FROM tools-${LIBC} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY . .
# libc linked in whole: names are resolved by hickory, so nothing of NSS is missed at run time.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    install -D "$(scripts/static-build)" /out/countersign \
 && install -d -m 0700 -o 10001 -g 10001 /out/data \
 && /out/countersign --version

FROM scratch
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.description="Makes any auth server's JWKS and tokens acceptable to strict verifiers" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/countersign /countersign
# The signing keys live here: mount a volume, or every new container signs with a new key.
COPY --from=build --chown=10001:10001 /out/data /data
# Outside a container the proxy listens on loopback only. The admin listener still does: publish it
# with COUNTERSIGN_ADMIN=0.0.0.0:9090 where the network is yours.
ENV COUNTERSIGN_LISTEN=0.0.0.0:8080 \
    COUNTERSIGN_ADMIN=127.0.0.1:9090 \
    COUNTERSIGN_DATA_DIR=/data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/countersign", "healthcheck"]
ENTRYPOINT ["/countersign"]
CMD ["run"]
