# Built with `docker build -t product-catalog .`; the README says how to run it.

FROM rust:1.95-slim-bookworm AS build
# ring and jemalloc are compiled with a C compiler, which the image has, and jemalloc with make, which it has not.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends make \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# The dependencies, in a layer that only Cargo.toml and Cargo.lock invalidate: they are built for a
# program that does nothing. The manifest may name benches, so those exist too.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
RUN mkdir src benches \
    && touch src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && sed -n '/^\[\[bench\]\]/,/^$/ s/^name = "\(.*\)"$/\1/p' Cargo.toml \
        | while read -r bench; do cp src/main.rs "benches/$bench.rs"; done \
    && cargo build --release --locked --bin product-catalog

# The contract, the schema and the OpenAPI document are compiled into the binary.
COPY pacto.yaml ./
COPY configuration configuration
COPY interfaces interfaces
COPY src src
# Cargo goes by time stamps, and the copied ones are older than the program that does nothing.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked --bin product-catalog \
    && mkdir /store


# glibc, libgcc and the root certificates for TLS to the inventory; no shell, no package manager.
FROM gcr.io/distroless/cc-debian12:nonroot

LABEL org.opencontainers.image.title="product-catalog" \
      org.opencontainers.image.description="A product API on a write-through local cache that rebuilds itself from an inventory" \
      org.opencontainers.image.version="2.0.1" \
      org.opencontainers.image.licenses="Apache-2.0"

COPY --from=build /build/target/release/product-catalog /usr/local/bin/product-catalog

# One volume a replica: the store has one opener. Without one the service runs all the same, and
# warms itself from the inventory at each start.
COPY --from=build --chown=nonroot:nonroot /store /var/lib/product-catalog
ENV CACHE_DIR=/var/lib/product-catalog
VOLUME /var/lib/product-catalog

USER nonroot:nonroot

# The public API, and the internal listener: publish only the first.
EXPOSE 8080 9090

HEALTHCHECK --interval=10s --timeout=3s --start-period=10s --retries=3 \
    CMD ["/usr/local/bin/product-catalog", "healthcheck"]

# No shell in between, so that SIGTERM reaches the process.
STOPSIGNAL SIGTERM
ENTRYPOINT ["/usr/local/bin/product-catalog"]
CMD ["serve"]
