# syntax=docker/dockerfile:1
# One image for every role: `docker run millrace gateway`, `… projector`, `… jobs`, `… migrate`, `… demo URL`. Built in stages, so that
# what ships is Node, the production dependencies and the sources, which Node runs as they are. It writes nothing into itself.
ARG NODE=24-slim

FROM node:${NODE} AS base
WORKDIR /app

# What runs imports nothing else: no compilers, no tests, no embedded Postgres.
FROM base AS dependencies
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# The web client is built of its own folder and the client SDK; files that rarely change come first.
FROM base AS web
COPY web/package.json web/package-lock.json web/
RUN --mount=type=cache,target=/root/.npm npm ci --prefix web --no-audit --no-fund
COPY package.json tsconfig.json ./
COPY src/client src/client
COPY web web
RUN npm run build --prefix web

FROM base AS millrace
ENV NODE_ENV=production HOST=0.0.0.0 OPS_HOST=0.0.0.0
COPY --from=dependencies /app/node_modules node_modules
COPY package.json LICENSE ./
COPY bin bin
COPY migrations migrations
COPY projections projections
COPY src src
COPY docker/healthcheck.js docker/healthcheck.js
COPY --from=web /app/web/dist web/dist
# The user `node` of the base image, by number: Kubernetes' runAsNonRoot believes no name.
USER 1000:1000
# HTTP and WebSocket of a gateway; health and metrics of the other roles.
EXPOSE 8080 9465
# Alive, not ready: a gateway whose Redis is away keeps its sockets, and nobody should end it for that.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 CMD ["node", "docker/healthcheck.js"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["node", "bin/millrace.js"]
CMD ["gateway"]
