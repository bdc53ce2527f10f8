// Where browsers land: reads {origin, allowed, locations} as JSON and prints the locations that lead off the origin and the
// list, by the URL parser of the WHATWG standard that Node carries.
import { readFileSync } from 'node:fs';

const { origin, allowed, locations } = JSON.parse(readFileSync(0, 'utf8'));
const own = new URL(origin).origin;

function listed(url) {
  if (!['http:', 'https:'].includes(url.protocol)) return false;
  return allowed.some((entry) => {
    const [name, port = ''] = entry.split(':');
    const below = name.replace(/^\*/, '');
    const named = below.startsWith('.') ? url.hostname === below.slice(1) || url.hostname.endsWith(below) : url.hostname === below;
    return named && (port === '*' || url.port === port);
  });
}

function stays(location) {
  // What is no URL leads nowhere.
  if (!URL.canParse(location, origin)) return true;
  const url = new URL(location, origin);
  return url.origin === own || listed(url);
}

console.log(JSON.stringify(locations.filter((location) => !stays(location))));
