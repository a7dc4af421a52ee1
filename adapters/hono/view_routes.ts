/**
 * Routes that look: status, health, metrics and the like.
 *
 * @module
 */
import type { RaftStatus } from "../../mod.ts";
import type { EventRing } from "./event_ring.ts";
import { BadRequest } from "./problem.ts";
import { prometheusText } from "./prometheus.ts";
import type { Route } from "./route.ts";

/** Those routes. */
export function viewRoutes(contactMaxMs: number, ring: EventRing): readonly Route[] {
  return [
    {
      ...{ method: "GET", path: "/status", summary: "Everything about the server at this moment." },
      answer: ({ raft }) => statusOf(raft.status),
    },
    {
      ...{
        method: "GET",
        path: "/health",
        summary: "200 with a known leader and a recent contact, else 503 with reasons.",
      },
      answer: ({ raft }) => {
        const health = healthOf(raft.status, contactMaxMs);
        return Response.json(health, { status: health.healthy ? 200 : 503 });
      },
    },
    {
      ...{ method: "GET", path: "/metrics", summary: "Counters and histograms, as Prometheus scrapes them." },
      produces: "text/plain",
      answer: ({ raft }) =>
        new Response(prometheusText(raft.metrics()), {
          headers: { "content-type": "text/plain; version=0.0.4; charset=utf-8" },
        }),
    },
    {
      ...{ method: "GET", path: "/stats", summary: "What hashicorp/raft's Stats() gives: all values text." },
      answer: ({ raft }) => raft.stats(),
    },
    {
      ...{ method: "GET", path: "/doctor", summary: "What is wrong and what to do about it, in data and in words." },
      answer: ({ raft }) => raft.doctor(),
    },
    {
      ...{ method: "GET", path: "/configuration", summary: "The servers in force, and whether that is committed." },
      answer: ({ raft }) => raft.configuration,
    },
    {
      ...{ method: "GET", path: "/events", summary: "Server-sent events; Last-Event-ID goes on where it ended." },
      query: { types: { type: "string", text: "Only events of these types, with commas between." } },
      produces: "text/event-stream",
      answer: ({ given: { types }, request, raft }) => {
        const stream = ring.stream(raft, {
          types: typeof types === "string" ? new Set(types.split(",")) : undefined,
          after: request.headers.get("last-event-id") ?? undefined,
        });
        if (stream === undefined) throw new BadRequest("Cannot serve more event streams", 503, "overloaded");
        return new Response(stream, { headers: { "content-type": "text/event-stream" } });
      },
    },
  ];
}

/** As in the library, but with null for what is not known, since JSON leaves out undefined, and whole milliseconds. */
function statusOf(status: RaftStatus): Record<string, unknown> {
  return {
    ...status,
    leader: status.leader ?? null,
    votedFor: status.votedFor ?? null,
    lastContactMs: rounded(status.lastContactMs) ?? null,
    servers: status.servers.map((server) => ({ ...server, lastContactMs: rounded(server.lastContactMs) })),
  };
}

function rounded(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : Math.round(ms);
}

interface Health {
  readonly healthy: boolean;
  readonly reasons: readonly string[];
  readonly id: string;
  readonly role: string;
  readonly leader: string | null;
}

function healthOf({ id, role, leader, lastContactMs }: RaftStatus, contactMaxMs: number): Health {
  const reasons: string[] = [];
  if (role === "shutdown") reasons.push("the server is shut down");
  if (leader === undefined) reasons.push("no leader is known");
  if (lastContactMs === undefined) reasons.push("there was no contact with a leader yet");
  else if (lastContactMs > contactMaxMs) {
    reasons.push(
      `the last contact with a leader was ${Math.round(lastContactMs)} ms ago: at most ${contactMaxMs} is fine`,
    );
  }
  return { healthy: reasons.length === 0, reasons, id, role, leader: leader ?? null };
}
