# syntax=docker/dockerfile:1
# One static binary on nothing: no shell, no libc, no package to patch.
#   docker build -t countersign .
#   docker run -p 8080:8080 -v countersign:/data -e COUNTERSIGN_UPSTREAM=https://auth.example.com \
#     -e COUNTERSIGN_PUBLIC_URL=https://login.example.com countersign
# A countersign.toml beside this file goes into the image as its configuration: for platforms that build
# from a repository and mount no files. Secrets stay out of it: ${VAR} in it is a variable at run time.
# For another architecture: docker buildx build --platform linux/arm64 …
# With musl instead of glibc: docker build --build-arg LIBC=musl …
ARG LIBC=glibc

FROM rust:1.95-slim-bookworm AS tools-glibc
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
# pingora builds zlib-ng and aws-lc is C: a compiler and cmake.
# hadolint ignore=DL3008
RUN apt-get update \
 && apt-get install -y --no-install-recommends cmake gcc g++ libc6-dev make \
 && rm -rf /var/lib/apt/lists/*

FROM rust:1.95-alpine AS tools-musl
# hadolint ignore=DL3018
RUN apk add --no-cache bash cmake g++ gcc linux-headers make musl-dev perl

# hadolint ignore=DL3006
FROM tools-${LIBC} AS build
SHELL ["/bin/bash", "-euo", "pipefail", "-c"]
WORKDIR /src
COPY . .
# libc linked in whole: names are resolved by hickory, so nothing of NSS is missed at run time.
# No cache mounts: some platforms refuse them (Railway) or do not know them (kaniko).
RUN install -D "$(scripts/static-build)" /out/countersign \
 && install -d -m 0700 -o 10001 -g 10001 /out/data \
 && /out/countersign --version

FROM scratch
LABEL org.opencontainers.image.title="countersign" \
      org.opencontainers.image.description="Makes any auth server's JWKS and tokens acceptable to strict verifiers" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /out/countersign /countersign
# The licence is always there, so that a configuration need not be.
COPY LICENSE countersign.tom[l] /
# The signing keys live here: mount a volume, or every new container signs with a new key.
COPY --from=build --chown=10001:10001 /out/data /data
# Outside a container the proxy listens on loopback only; PORT is a port on all addresses, and the name
# by which platforms say another. The admin listener stays on loopback: publish it with
# COUNTERSIGN_ADMIN=0.0.0.0:9090 where the network is yours.
ENV PORT=8080 \
    COUNTERSIGN_ADMIN=127.0.0.1:9090 \
    COUNTERSIGN_DATA_DIR=/data
USER 10001:10001
VOLUME ["/data"]
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 CMD ["/countersign", "healthcheck"]
ENTRYPOINT ["/countersign"]
CMD ["run"]
