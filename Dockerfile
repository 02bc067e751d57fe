# The service for a container. The database is another container's or a service's: set DATABASE_URL.
FROM node:24-bookworm-slim
WORKDIR /penstock
COPY package.json package-lock.json ./
RUN npm ci --omit=dev
COPY layers layers
COPY migrations migrations
COPY scripts scripts
COPY src src
COPY web web
USER node
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "--eval", "fetch(`http://127.0.0.1:${process.env.HTTP_PORT ?? 8080}/health/live`).then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# Not through npm, so that SIGTERM reaches the service itself.
CMD ["node", "--max-semi-space-size=16", "scripts/penstock.ts", "start"]
