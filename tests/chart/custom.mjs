//! Holds custom resources against the schemas of their operators, strictly: a field that no schema names is a problem.
//!
//! node custom.mjs < JSON list of objects: {"without_schema": [kinds], "checked": N, "problems": [text]}

/// The package with the schemas of each API group.
const PACKAGES = {
  'gateway.networking.k8s.io': 'gateway-api',
  'monitoring.coreos.com': 'prometheus-operator',
  'helm.toolkit.fluxcd.io': 'flux-cd',
  'source.toolkit.fluxcd.io': 'flux-cd',
  'kustomize.toolkit.fluxcd.io': 'flux-cd',
};

/// Wraps data so that the fields that a check looks at are noted: the packages carry compiled checks instead of
/// schemas, and those ask for each field they know and overlook all others. An object of which no field is asked for
/// is free in form, such as a release's values.
class Watched {
  constructor(data) {
    this.seen = new Map();
    this.root = this.wrap(data);
  }

  wrap(data) {
    if (data === null || typeof data !== 'object') return data;
    if (this.seen.has(data)) return this.seen.get(data).proxy;
    const entry = { asked: new Set() };
    entry.proxy = new Proxy(data, {
      get: (target, key) => {
        entry.asked.add(key);
        return this.wrap(target[key]);
      },
    });
    this.seen.set(data, entry);
    return entry.proxy;
  }

  /// Paths of the fields that nothing asked for.
  unknown(data, path = '') {
    if (data === null || typeof data !== 'object') return [];
    const asked = this.seen.get(data)?.asked ?? new Set();
    const known = (key) => Array.isArray(data) || asked.size === 0 || asked.has(key);
    return Object.keys(data).flatMap((key) =>
      known(key) ? this.unknown(data[key], `${path}/${key}`) : [`${path}/${key}`],
    );
  }
}

function problemsOf(schema, object) {
  const watched = new Watched(object);
  const problems = [];
  try {
    schema.prototype.validate.call(watched.root);
  } catch (error) {
    if (!Array.isArray(error.errors)) throw error;
    problems.push(...error.errors.map((each) => `${each.instancePath} ${each.message}`));
  }
  return [...problems, ...watched.unknown(object).map((path) => `${path} is no field`)];
}

async function main() {
  let text = '';
  for await (const chunk of process.stdin) text += chunk;
  const answer = { without_schema: [], checked: 0, problems: [] };
  for (const object of JSON.parse(text)) {
    const { apiVersion, kind } = object;
    const source = PACKAGES[apiVersion.split('/')[0]];
    if (source === undefined) {
      answer.without_schema.push(kind);
      continue;
    }
    const name = `${kind}/${object.metadata?.name}`;
    const found = await import(`@kubernetes-models/${source}/${apiVersion}/${kind}`).catch((error) => error);
    if (found instanceof Error) {
      answer.problems.push(`${name}: ${apiVersion} has no schema of that kind: ${found.message}`);
      continue;
    }
    answer.checked += 1;
    answer.problems.push(...problemsOf(found[kind], object).map((problem) => `${name}: ${problem}`));
  }
  console.log(JSON.stringify(answer));
}

await main();
