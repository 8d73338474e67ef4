/**
 * Small upstreams to try the examples with. They answer with the request that they got; `/page.html` is a page of HTML,
 * `/fails` is a 500, and `/hangs-up` gets no answer.
 *
 *   node upstreams.mjs              on ports 3001, 3002 and 3003
 *   node upstreams.mjs 4001 4002    on others
 */
import http from 'node:http';

const given = process.argv.slice(2).map(Number);
for (const wanted of given.length > 0 ? given : [3001, 3002, 3003]) {
  const server = http.createServer((request, response) => {
    const { method, url, headers } = request;
    const { port } = server.address();
    if (url === '/hangs-up') request.socket.destroy();
    else if (url === '/page.html') {
      response.setHeader('content-type', 'text/html');
      response.end(`<html><head><title>upstream ${port}</title></head><body>hello</body></html>\n`);
    } else {
      response.writeHead(url === '/fails' ? 500 : 200, { 'content-type': 'application/json' });
      response.end(`${JSON.stringify({ upstream: port, method, url, headers }, undefined, 2)}\n`);
    }
  });
  server.listen(wanted, '127.0.0.1', () => console.log(`http://127.0.0.1:${server.address().port}`));
}
