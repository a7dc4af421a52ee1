/**
 * V7: a leader that no quorum answers steps down within two election timeouts.
 *
 * @module
 */
import type { ServerId } from "../../../types.ts";
import type { Contacts, Ghost } from "../ghost.ts";
import type { NodeView } from "../view.ts";
import { type Checker, configurationIn, isQuorum, setsOf } from "./checker.ts";

/** Looks at a leader whenever it looks at its clock. */
export const contact: Checker = {
  onStep(ghost, node, { event, now }) {
    const { core } = node;
    if (core.role !== "leader") return;
    switch (event.type) {
      case "message-received":
        if (event.message.type !== "append-response" || event.message.term !== core.term) return;
        contactsOf(ghost, node, now).heard.set(event.from, now);
        return;
      case "clock-jumped": {
        // A process that slept has heard nobody meanwhile. It may wait for answers anew, but not time and again.
        const contacts = contactsOf(ghost, node, now);
        if (now - contacts.creditedAt < core.settings.leaseMs) return;
        contacts.creditedAt = contacts.since = now;
        return;
      }
      case "deadline-reached":
        return mayStay(ghost, node, contactsOf(ghost, node, now), now);
    }
  },
};

function contactsOf(ghost: Ghost, node: NodeView, now: number): Contacts {
  const { core } = node;
  const configuration = core.configurations.at(-1)?.index ?? 0;
  let contacts = ghost.contacts.get(node);
  if (contacts?.term !== core.term) {
    contacts = { term: core.term, since: now, configuration, heard: new Map(), creditedAt: -Infinity };
    ghost.contacts.set(node, contacts);
  } else if (contacts.configuration !== configuration) {
    contacts.configuration = configuration;
    contacts.since = now;
  }
  return contacts;
}

function mayStay(ghost: Ghost, node: NodeView, { since, heard }: Contacts, now: number): void {
  const { id, core } = node;
  const bound = now - 2 * core.settings.electionMaxMs;
  const configuration = configurationIn(node);
  if (since >= bound || configuration === undefined) return;
  const isHeard = (voter: ServerId) => voter === id || (heard.get(voter) ?? since) >= bound;
  ghost.must(isQuorum(setsOf(configuration), isHeard), "V7", () => {
    return `leader "${id}" of term ${core.term} still leads at ${now}; it heard ${
      [...heard].map(([peer, at]) => `"${peer}" at ${at}`).join(", ") || "nobody"
    } since ${since}`;
  });
}
