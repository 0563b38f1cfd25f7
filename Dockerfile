# One image, four roles: `teamsim serve upstream|pkgmgr|connect|workbench`.
#
#   docker build -t teamsim .                                  compiles from source
#   docker build -t teamsim --build-arg BINARY=prebuilt .      takes dist/teamsim, a static binary made before
ARG BINARY=compiled

FROM rust:1.95-slim AS compiled
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY . .
# --target keeps the static flag away from build scripts and macros, which cannot be static.
RUN target="$(rustc -vV | sed -n 's/^host: //p')" \
 && RUSTFLAGS="-C target-feature=+crt-static" cargo build --release --locked --target "$target" -p harness \
 && install -D "target/$target/release/teamsim" /out/teamsim \
 && mkdir -p /out/data /out/tmp

FROM scratch AS prebuilt
COPY dist/ /out/

FROM ${BINARY} AS binary

FROM scratch
COPY --from=binary /out/teamsim /teamsim
# A named volume takes the owner of the folder it is mounted over.
COPY --from=binary --chown=10001:10001 /out/data /data
COPY --from=binary --chown=10001:10001 /out/tmp /tmp
USER 10001:10001
# Large sorts of SQLite need a place that can be written, also where /tmp is small or not there.
ENV TEAMSIM_BIND=0.0.0.0 TEAMSIM_DATA_DIR=/data SQLITE_TMPDIR=/data
VOLUME /data
ENTRYPOINT ["/teamsim"]
CMD ["up"]
