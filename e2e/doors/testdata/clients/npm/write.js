// Pushes with npm's prometheus-remote-write, until its standard input ends: write.js URL. Each push is sent until it is taken. At the end it
// says on standard output how many there were, how often it was answered what, and what it was told the last time that it was refused.
const {setTimeout: pause} = require('node:timers/promises');
const {pushMetrics, pushTimeseries} = require('prometheus-remote-write');

const options = {url: process.argv[2], fetch, labels: {gatewayID: 'gw'}};
const said = {pushes: 0, statuses: {}, refusal: ''};
let ended = false;
process.stdin.on('end', () => { ended = true; }).resume();

async function untilTaken(push) {
  for (;;) {
    const {status, errorMessage} = await push();
    said.statuses[status] = (said.statuses[status] ?? 0) + 1;
    if (status < 300) break;
    said.refusal = errorMessage;
    await pause(5);
  }
}

async function main() {
  await untilTaken(() => pushMetrics({queue_depth: 5, temperature: -1.5}, options));
  for (; !ended; said.pushes++) {
    const samples = [{value: said.pushes, timestamp: Date.now()}];
    await untilTaken(() => pushTimeseries([
      {labels: {zone: 'ä "b"', __name__: 'pushed_total', empty: ''}, samples},
      {labels: {__name__: 'pushed_elsewhere_total', gatewayID: 'other'}, samples},
    ], options));
    await pause(5);
  }
  console.log(JSON.stringify(said));
}

main();
