// Node's readings of a path: the URL class, a path cut by hand, and the parser under Express and Koa. Each answers with
// the resource that it resolved. An encoded slash is no separator to who parts the path first.
// Arguments: three addresses, and a file in whose directory `node_modules` is looked up.
import http from 'node:http';
import { createRequire } from 'node:module';

const parseurl = createRequire(process.argv[5])('parseurl');
const segments = path => path.split('/').map(one => decodeURIComponent(one).replaceAll('/', '%2F')).join('/');
const readings = [
  request => decodeURIComponent(new URL(request.url, 'http://app.example.test').pathname),
  request => segments(request.url.split('?')[0]),
  request => segments(parseurl(request).pathname),
];
readings.forEach((read, index) => {
  const [host, port] = process.argv[2 + index].split(':');
  http.createServer((request, response) => {
    try {
      response.end(read(request));
    } catch {
      response.writeHead(400).end();
    }
  }).listen(Number(port), host);
});
