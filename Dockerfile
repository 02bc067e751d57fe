# The service for a container: what is built, and what it needs to run. The database is another container's or a service's
# (set DATABASE_URL), and Node.js is the image's, so neither the npm package `node` nor the embedded PostgreSQL is carried.
FROM node:24-bookworm-slim AS build
WORKDIR /penstock
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json ./
COPY exports exports
COPY src src
COPY layers layers
COPY migrations migrations
COPY scripts scripts
RUN npm run build

FROM node:24-bookworm-slim AS modules
WORKDIR /penstock
COPY package.json package-lock.json ./
# The programs of the embedded PostgreSQL are optional packages, and the npm package `node` is fetched by its script.
RUN npm ci --omit=dev --omit=optional --ignore-scripts

FROM node:24-bookworm-slim
WORKDIR /penstock
ENV NODE_ENV=production
COPY package.json ./
COPY bin bin
COPY web web
COPY --from=modules /penstock/node_modules node_modules
COPY --from=build /penstock/dist dist
# Nothing is written to disk where DATABASE_URL is set: the file system may be read-only.
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.HTTP_PORT || 8080}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Not through npm, so that SIGTERM reaches the service itself.
CMD ["node", "--max-semi-space-size=16", "bin/penstock.js", "start"]
