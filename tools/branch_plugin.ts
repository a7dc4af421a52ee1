/**
 * Finds the branches of a program, for tests/sim/coverage.ts: a lint plugin, as that has the syntax tree at hand. Each
 * diagnostic's message is a {@linkcode Branch} as JSON.
 *
 * @module
 */

/** One way that the program can take. Offsets into the source. */
export interface Branch {
  /** What takes it: `if`, `else`, `&&`, `? :`, … */
  readonly kind: string;
  /** Where the decision stands. */
  readonly at: number;
  /** What runs as often as the decision is made. */
  readonly from: number;
  /** What runs when this way is taken. With `rest`, what runs when it is not: the way is all the other times. */
  readonly to: number;
  readonly rest: boolean;
  /** Where the body begins of a loop whose test this decides: it is made once more after each time that ran. */
  readonly again?: number;
}

type Node = Deno.lint.Node;

function startOf(node: Node): number {
  return node.range[0];
}

/** The operand that is evaluated last before the right one. */
function lastOperand(node: Deno.lint.LogicalExpression): Node {
  const { left } = node;
  return left.type === "LogicalExpression" && left.operator === node.operator ? left.right : left;
}

/** The body after which this is decided again: that of a loop that ends by its test only. */
function bodyDecidedAfter(node: Deno.lint.LogicalExpression, textOf: (node: Node) => string): number | undefined {
  const { parent, left } = node;
  // What is not evaluated first is counted each time by itself.
  if ((parent.type !== "WhileStatement" && parent.type !== "ForStatement") || parent.test !== node) return undefined;
  if (left.type === "LogicalExpression" || /\b(?:return|break|continue|throw)\b/.test(textOf(parent.body))) {
    return undefined;
  }
  return startOf(parent.body);
}

/** Assertions hold: nothing that runs takes their other branch. */
function isAsserted(node: Node): boolean {
  for (let at: Node | null = node; at !== null && "parent" in at; at = at.parent as Node | null) {
    if (at.type === "CallExpression" && at.callee.type === "Identifier" && at.callee.name === "invariant") return true;
  }
  return false;
}

const branches: Deno.lint.Rule = {
  create(context) {
    const report = (node: Node, ...found: Branch[]) => {
      if (isAsserted(node)) return;
      for (const branch of found) context.report({ node, message: JSON.stringify(branch) });
    };
    const both = (
      node: Node,
      kinds: readonly [string, string],
      from: number,
      to: number,
      { other, again }: { readonly other?: number | undefined; readonly again?: number | undefined } = {},
    ) => {
      const at = startOf(node);
      report(
        node,
        { kind: kinds[0], at, from, to, rest: false },
        {
          ...{ kind: kinds[1], at, from, to: other ?? to, rest: other === undefined },
          ...again === undefined ? {} : { again },
        },
      );
    };
    return {
      IfStatement(node) {
        const other = node.alternate === null || node.alternate === undefined ? undefined : startOf(node.alternate);
        both(node, ["if", "else"], startOf(node.test), startOf(node.consequent), { other });
      },
      ConditionalExpression(node) {
        const other = startOf(node.alternate);
        both(node, ["?", ":"], startOf(node.test), startOf(node.consequent), { other });
      },
      LogicalExpression(node) {
        const { operator } = node;
        const again = bodyDecidedAfter(node, (part) => context.sourceCode.getText(part));
        const kinds = [`${operator} right`, `${operator} left`] as const;
        both(node, kinds, startOf(lastOperand(node)), startOf(node.right), { again });
      },
      SwitchCase(node) {
        const first = node.consequent[0];
        if (first === undefined) return;
        report(node, { kind: "case", at: startOf(node), from: startOf(first), to: startOf(first), rest: false });
      },
      ForStatement(node) {
        const to = startOf(node.body);
        report(node, { kind: "for", at: startOf(node), from: to, to, rest: false });
      },
      ForOfStatement(node) {
        const to = startOf(node.body);
        report(node, { kind: "for", at: startOf(node), from: to, to, rest: false });
      },
      WhileStatement(node) {
        const to = startOf(node.body);
        report(node, { kind: "while", at: startOf(node), from: to, to, rest: false });
      },
    };
  },
};

const plugin: Deno.lint.Plugin = { name: "branches", rules: { branches } };

export default plugin;
