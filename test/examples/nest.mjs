/**
 * NestJS: the balancer in a controller, so that guards, interceptors and pipes of Nest come first. `rawBody` keeps what
 * Nest's parsers have read, and that is sent on; other bodies are streamed. Upgrades bypass Nest, so they get the same
 * check in the 'upgrade' listener. (Decorators are called as functions: Node.js runs this file as it is.)
 *
 *   node nest.mjs
 *   curl -i http://127.0.0.1:8080/health
 *   curl -i http://127.0.0.1:8080/api/users
 *   curl -i -H 'X-Key: sesame' --json '{"a":1}' http://127.0.0.1:8080/api/users
 */
import 'reflect-metadata';
import { All, Controller, Get, Module, Req, Res, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { createBalancer } from 'equipoise';

const { PORT = '8080', UPSTREAMS = 'http://127.0.0.1:3001 http://127.0.0.1:3002' } = process.env;
const balancer = createBalancer({ upstreams: UPSTREAMS.split(' ') });
const allowed = ({ headers }) => headers['x-key'] === 'sesame';

class KeyGuard {
  canActivate(context) {
    return allowed(context.switchToHttp().getRequest());
  }
}

class Gateway {
  health() {
    return { ready: balancer.ready };
  }

  forward(request, response) {
    if (request.rawBody) delete request.headers['content-encoding']; // The parser has inflated it.
    balancer.handle(request, response, { body: request.rawBody });
  }
}
const method = (name) => [Gateway.prototype, name, Object.getOwnPropertyDescriptor(Gateway.prototype, name)];
Controller()(Gateway); // @Controller()
Get('health')(...method('health')); // @Get('health')
All('api/*path')(...method('forward')); // @All('api/*path') @UseGuards(KeyGuard)
UseGuards(KeyGuard)(...method('forward'));
Req()(Gateway.prototype, 'forward', 0); // forward(@Req() request, @Res() response)
Res()(Gateway.prototype, 'forward', 1);

class AppModule {}
Module({ controllers: [Gateway] })(AppModule);

const app = await NestFactory.create(AppModule, { rawBody: true, logger: ['error', 'warn'] });
const server = await app.listen(Number(PORT), '127.0.0.1');
server.on('upgrade', (request, socket, head) => {
  if (allowed(request)) balancer.upgrade(request, socket, head);
  else socket.end('HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
});
console.log(`listening on http://127.0.0.1:${server.address().port}`);
process.once('SIGTERM', () => app.close().then(() => balancer.close()));
