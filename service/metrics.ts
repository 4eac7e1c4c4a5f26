import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import type { Observation } from '../storage-adapters/wrap/metrics.ts'
import type { DimseMetrics } from './dimse/index.ts'
import { ArchiveError } from './errors.ts'
import type { HttpMetrics } from './http/app.ts'
import type { Incoming, Receipt, Receive } from './ingest/ports.ts'

/** The node's Prometheus metrics, and the hooks by which its parts report. */
export class Metrics implements HttpMetrics {
  readonly registry = new Registry()
  readonly dimse: DimseMetrics
  readonly #requests: Histogram<'route' | 'method' | 'status'>
  readonly #received: Counter<'protocol' | 'outcome'>
  readonly #bytes: Counter<'protocol'>
  readonly #storeCalls: Histogram<'store' | 'operation' | 'outcome'>
  readonly #storeBytes: Counter<'store' | 'operation'>

  constructor() {
    const registers = [this.registry]
    collectDefaultMetrics({ register: this.registry })
    this.#requests = new Histogram({
      name: 'firn_http_request_seconds',
      help: 'HTTP requests by route, method and status',
      labelNames: ['route', 'method', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
      registers,
    })
    this.#received = new Counter({
      name: 'firn_instances_received_total',
      help: 'Instances received; outcome is stored, duplicate, conflict, or the code of the refusal',
      labelNames: ['protocol', 'outcome'],
      registers,
    })
    this.#bytes = new Counter({
      name: 'firn_received_bytes_total',
      help: 'Bytes of instances that were acknowledged',
      labelNames: ['protocol'],
      registers,
    })
    this.#storeCalls = new Histogram({
      name: 'firn_store_seconds',
      help: 'Calls of stores by what was asked and how it ended',
      labelNames: ['store', 'operation', 'outcome'],
      buckets: [0.002, 0.01, 0.05, 0.1, 0.5, 1, 5, 30, 120],
      registers,
    })
    this.#storeBytes = new Counter({
      name: 'firn_store_bytes_total',
      help: 'Bytes put into stores and read from them',
      labelNames: ['store', 'operation'],
      registers,
    })
    this.dimse = dimseMetrics(registers)
  }

  request(route: string, method: string, status: number, seconds: number): void {
    this.#requests.observe({ route, method, status }, seconds)
  }

  store({ store, operation, outcome, durationMs, bytes }: Observation): void {
    this.#storeCalls.observe({ store, operation, outcome }, durationMs / 1000)
    this.#storeBytes.inc({ store, operation }, bytes)
  }

  async expose(): Promise<{ type: string; text: string }> {
    return { type: this.registry.contentType, text: await this.registry.metrics() }
  }

  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.registry],
      collect() {
        this.set(read())
      },
    })
  }

  /** Of several things at once, which may come and go. */
  gauges<Label extends string>(
    name: string,
    help: string,
    labelNames: readonly Label[],
    read: () => readonly { labels: Record<Label, string>; value: number }[],
  ): void {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers: [this.registry],
      collect() {
        this.reset()
        for (const { labels, value } of read()) this.set(labels, value)
      },
    })
  }

  /** The same use case, counted. */
  counted(receive: Receive, stored: (receipt: Receipt) => void): Receive {
    return {
      receive: async (incoming: Incoming): Promise<Receipt> => {
        const { protocol } = incoming.source
        try {
          const receipt = await receive.receive(incoming)
          this.#received.inc({ protocol, outcome: receipt.outcome })
          this.#bytes.inc({ protocol }, receipt.sizeBytes)
          if (receipt.outcome === 'stored') stored(receipt)
          return receipt
        } catch (error) {
          this.#received.inc({ protocol, outcome: error instanceof ArchiveError ? error.code : 'failed' })
          throw error
        }
      },
    }
  }
}

function dimseMetrics(registers: Registry[]): DimseMetrics {
  const open = new Gauge({ name: 'firn_dimse_associations_open', help: 'Associations open now', registers })
  const total = new Counter({
    name: 'firn_dimse_associations_total',
    help: 'Associations by how they began',
    labelNames: ['result'],
    registers,
  })
  const operations = new Histogram({
    name: 'firn_dimse_operation_seconds',
    help: 'DIMSE operations as SCP by command and final status',
    labelNames: ['command', 'status'],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60],
    registers,
  })
  return {
    associationOpened() {
      open.inc()
      total.inc({ result: 'accepted' })
    },
    associationClosed: () => open.dec(),
    associationRejected: () => total.inc({ result: 'rejected' }),
    operation(command, status, seconds) {
      operations.observe({ command, status: status.toString(16).padStart(4, '0').toUpperCase() }, seconds)
    },
  }
}
