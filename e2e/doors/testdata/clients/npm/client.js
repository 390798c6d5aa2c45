// Pushes with npm's prom-client: client.js URL JOB, and lines on standard input, a word, a tab and an instance. What comes of
// each is a line on standard output.
const readline = require('node:readline');
const {Counter, Gauge, Histogram, Pushgateway, Registry, Summary} = require('prom-client');

const [url, job] = process.argv.slice(2);

const backup = new Registry();
const registers = [backup];
new Counter({name: 'backup_rows_total', help: 'Rows.', registers}).inc(42);
new Gauge({name: 'backup_size_bytes', help: 'Size.', registers}).set(1.5);
const seconds = new Histogram({name: 'backup_seconds', help: 'Time.', buckets: [1, 10], registers});
seconds.observe(0.5);
seconds.observe(5);
const wait = new Summary({name: 'backup_wait_seconds', help: 'Waiting.', percentiles: [0.5], registers});
wait.observe(2);
wait.observe(4);

const more = new Registry();
new Gauge({name: 'backup_verified', help: 'Whether it was read again.', registers: [more]}).set(7);

async function main() {
  for await (const line of readline.createInterface({input: process.stdin})) {
    const [word, instance] = line.split('\t');
    const group = {jobName: job, groupings: {instance}};
    try {
      if (word === 'push') await new Pushgateway(url, {}, backup).push(group);
      if (word === 'add') await new Pushgateway(url, {}, more).pushAdd(group);
      if (word === 'delete') await new Pushgateway(url).delete(group);
      console.log('ok');
    } catch (error) {
      console.log('failed:', String(error).replaceAll('\n', ' '));
    }
  }
}

main();
