# Two images from one build: `worker` (the default), and `simulator` with QEMU for its guests.
# Bookworm and not Alpine: Temporal's native worker needs glibc.
FROM node:24-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY tsconfig.json tsconfig.build.json ./
COPY scripts ./scripts
COPY simulator ./simulator
COPY src ./src
RUN node --import tsx scripts/build.ts

FROM node:24-bookworm-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
 && case "$(uname -m)" in x86_64) keep=x86_64-unknown-linux-gnu ;; aarch64) keep=aarch64-unknown-linux-gnu ;; esac \
 # Five platforms of 28 MB each come with the package; one is used.
 && find node_modules/@temporalio/core-bridge/releases -mindepth 1 -maxdepth 1 ! -name "$keep" -exec rm -r {} + \
 && test -n "$(ls node_modules/@temporalio/core-bridge/releases)"

FROM node:24-bookworm-slim AS runtime
# The worker's TLS reads the system's certificates and fails without them, even where it speaks no TLS.
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates \
 && rm -rf /var/lib/apt/lists/*
ENV NODE_ENV=production NODE_OPTIONS=--enable-source-maps
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /app/package.json ./package.json
COPY --from=build /app/dist ./dist

FROM runtime AS simulator
RUN apt-get update \
 && apt-get install -y --no-install-recommends qemu-system-x86 \
 && rm -rf /var/lib/apt/lists/* \
 && mkdir -p /var/lib/ecs-rollback /home/node/.cache \
 && chown node:node /var/lib/ecs-rollback /home/node/.cache
USER node
VOLUME ["/var/lib/ecs-rollback", "/home/node/.cache"]
EXPOSE 8080
CMD ["node", "dist/simulator/main.js", "--host", "0.0.0.0", "--port", "8080", "--state", "/var/lib/ecs-rollback"]

FROM runtime AS worker
USER node
CMD ["node", "dist/src/worker.js"]
