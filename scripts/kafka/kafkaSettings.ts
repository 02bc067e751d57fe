/**
 * What each node of a Kafka for development is told, wherever it runs: broker and controller in one process (KRaft), small
 * caches, no wait for further members when a group is new, and as many copies of Kafka's own topics as there are nodes, up
 * to three.
 */

/** The nodes of a cluster, which are numbered from 1. */
export interface Quorum {
  /** In their data: they refuse to form a cluster with others. */
  readonly clusterId: string
  /** Where the nodes' controllers listen, in the order of their numbers. */
  readonly controllerPorts: ReadonlyArray<number>
  /** A name of the cluster on this machine. */
  readonly name: string
}

/** Of three copies one may be away, and what is acknowledged is on two. */
const copiesOn = (nodes: number) => ({
  replication: String(Math.min(3, nodes)),
  insync: nodes > 2 ? "2" : "1"
})

export const heap = "256m"

export const kafkaSettings = (id: number, nodes: number) => {
  const { insync, replication } = copiesOn(nodes)
  return {
    "process.roles": "broker,controller",
    "node.id": String(id),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "background.threads": "2",
    "log.cleaner.dedupe.buffer.size": "2097152",
    "default.replication.factor": replication,
    "min.insync.replicas": insync,
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": replication,
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": replication,
    "transaction.state.log.min.isr": insync,
    "share.coordinator.state.topic.num.partitions": "1",
    "share.coordinator.state.topic.replication.factor": replication,
    "share.coordinator.state.topic.min.isr": insync,
    "group.initial.rebalance.delay.ms": "0",
    // A name that is mistyped must not become a topic with the wrong partitions.
    "auto.create.topics.enable": "false"
  }
}

/**
 * One that was killed is held to be alive for so long, and until then one that starts in its place is refused. Kafka waits for 9 s,
 * which spares a node that stood still for a moment; tests have nothing else to do meanwhile.
 */
export const soonForgotten = { "broker.session.timeout.ms": "3000", "broker.heartbeat.interval.ms": "1000" }
