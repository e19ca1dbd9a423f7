// As memory_traffic.py, which says what the commands are.
const fs = require('fs');
const https = require('https');
const BODY = '0123456789abcdef';

const say = what => process.stdout.write(JSON.stringify(what) + '\n');
const line = () => new Promise(resolve => process.stdin.once('data', resolve));

function serve(certificate) {
  const pem = fs.readFileSync(certificate);
  const server = https.createServer({ key: pem, cert: pem }, (request, response) => {
    const body = request.url + BODY.repeat(Number(request.url.split('/')[2]));
    response.setHeader('Content-Length', body.length);
    response.end(body);
  });
  server.keepAliveTimeout = 60000;
  server.listen(0, '127.0.0.1', 256, () => say(server.address().port));
  line().then(() => process.exit(0));
}

function connect(port) {
  const agent = new https.Agent({ keepAlive: true, maxSockets: 1, rejectUnauthorized: false });
  const ask = path => new Promise((resolve, reject) => {
    const request = https.get({ host: '127.0.0.1', port, path, agent }, response => {
      let body = '';
      response.on('data', data => { body += data; });
      response.on('end', () => resolve(body));
    });
    request.on('error', reject);
    request.on('socket', socket => { agent.used = socket; });
  });
  return { agent, ask };
}

async function exchange(connection, size) {
  const path = `/${connection.agent.used.localPort}/${size}`;
  if (await connection.ask(path) !== path + BODY.repeat(size)) throw new Error(`another body on ${path}`);
}

async function client(port, connections, rounds) {
  const opened = Array.from({ length: Number(connections) }, () => connect(port));
  // The port is known only once there is a connection, so the first request names none.
  await Promise.all(opened.map(one => one.ask('/any/0')));
  say(opened.map(one => one.agent.used.localPort));
  await line();
  for (let round = 1; round < Number(rounds); round++) {
    await Promise.all(opened.map((one, index) => exchange(one, round * 10 + index)));
  }
  opened.forEach(one => one.agent.destroy());
  process.stdin.destroy();
}

const [command, ...rest] = process.argv.slice(2);
({ serve, ask: client })[command](...rest);
