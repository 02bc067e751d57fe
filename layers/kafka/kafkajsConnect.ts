/**
 * kafkajs opens a socket for each request that finds its connection closed: after a broker's restart several come at once,
 * each overwrites the socket of the one before, and the last one to connect gets them all. The others stay open with nobody
 * to use them, and when the broker closes such a one for idleness, minutes later, kafkajs fails what is under way on the
 * good one. Here a request that comes while a socket is being opened waits for that one.
 *
 * What is replaced was read in the version that kafkajsTimers.ts insists on.
 */
import { createRequire } from "node:module"

interface Connection {
  connecting?: Promise<boolean> | undefined
}

/** Replaces the method, once for the whole process. */
export const cureKafkajsConnect = () => {
  const { prototype } = createRequire(import.meta.url)("kafkajs/src/network/connection.js") as {
    readonly prototype: Connection & { connect: (this: Connection) => Promise<boolean> }
  }
  const { connect } = prototype
  prototype.connect = function () {
    this.connecting ??= connect.call(this).finally(() => {
      this.connecting = undefined
    })
    return this.connecting
  }
}
