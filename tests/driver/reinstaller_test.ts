import { assertEquals, assertInstanceOf } from "@std/assert";
import { Reinstaller } from "../../src/driver/reinstaller.ts";
import { LeadershipLostError, NoSnapshotsError } from "../../src/errors.ts";
import { test } from "../harness.ts";
import { drain, VirtualEnvironment } from "../virtual_environment.ts";

type Parts = ConstructorParameters<typeof Reinstaller>;

/** On "a", which follows "b". */
function setUp(protocol = 2) {
  const environment = new VirtualEnvironment();
  const state: { id: string; leader: string | undefined } = { id: "a", leader: "b" };
  const sent: string[] = [];
  const host = {
    environment,
    state,
    peers: {
      protocolOf: () => protocol,
      addressOf: () => undefined,
      send: (to: string, { type }: { type: string }) => sent.push(`${type} to ${to}`),
    },
    durableTerm: () => 1,
    enqueue: ({ beyond }: { beyond?: number }) => sent.push(`core: ${beyond}`),
  } as unknown as Parts[1];
  let tell: ((index: number) => void) | undefined;
  const applier = {
    isInstalling: false,
    isHeld: false,
    hold: (onHeld: (index: number) => void) => {
      applier.isHeld = true;
      tell = onHeld;
    },
    release: () => applier.isHeld = false,
  };
  const reinstaller = new Reinstaller(applier as unknown as Parts[0], host);
  const errors: unknown[] = [];
  const install = () => reinstaller.install({ resolve: () => {}, reject: (error) => errors.push(error) });
  return { reinstaller, install, state, sent, applier, errors, told: (index: number) => tell!(index) };
}

test("Reinstaller asks the leader once the machine is free", () => {
  const { reinstaller, install, sent, told } = setUp();
  install();
  assertEquals(sent, []);
  told(7);
  assertEquals(sent, ["core: 7", "snapshot-wanted to b"]);
  reinstaller.close(undefined);
});

test("Reinstaller lets the machine go on when the leader falls while another snapshot is restored", () => {
  const { reinstaller, install, state, applier, errors, sent } = setUp();
  applier.isInstalling = true;
  install();
  state.leader = "a";
  reinstaller.onLeaderChanged();
  assertInstanceOf(errors[0], LeadershipLostError);
  assertEquals([applier.isHeld, sent], [false, ["core: undefined"]]);
});

test("Reinstaller asks nobody when the leader it was to ask has fallen before the machine is free", async () => {
  const { install, state, applier, errors, sent, told } = setUp();
  install();
  state.leader = undefined;
  told(7);
  // The machine is in the middle of its turn.
  assertEquals([applier.isHeld, errors], [true, []]);
  await drain();
  assertInstanceOf(errors[0], LeadershipLostError);
  assertEquals([applier.isHeld, sent], [false, ["core: undefined"]]);
});

test("Reinstaller keeps on when the leader falls while its own snapshot is restored", () => {
  const { reinstaller, install, state, applier, errors, told } = setUp();
  install();
  told(7);
  applier.isInstalling = true;
  state.leader = "c";
  reinstaller.onLeaderChanged();
  assertEquals([applier.isHeld, errors], [true, []]);
  reinstaller.close(undefined);
});

test("Reinstaller asks no leader of a version that would not understand it", () => {
  const { install, applier, errors, sent } = setUp(1);
  install();
  assertInstanceOf(errors[0], NoSnapshotsError);
  assertEquals([applier.isHeld, sent], [false, []]);
});
