// Exports once by OTLP in JSON, as OpenTelemetry's SDK for node does: client.js URL GATEWAY.
const {OTLPMetricExporter} = require('@opentelemetry/exporter-metrics-otlp-http');
const {resourceFromAttributes} = require('@opentelemetry/resources');
const {MeterProvider, PeriodicExportingMetricReader} = require('@opentelemetry/sdk-metrics');

const [url, gatewayID] = process.argv.slice(2);

const provider = new MeterProvider({
  resource: resourceFromAttributes({gatewayID, 'service.name': 'node'}),
  readers: [new PeriodicExportingMetricReader({exporter: new OTLPMetricExporter({url}), exportIntervalMillis: 3600000})],
});
const meter = provider.getMeter('doors');
meter.createCounter('http.requests', {unit: '{request}'}).add(3, {'http.method': 'GET'});
meter.createUpDownCounter('queue.length').add(-2);
meter.createGauge('temperature', {unit: 'Cel'}).record(21.5);
const latency = meter.createHistogram('http.latency', {unit: 's', advice: {explicitBucketBoundaries: [0.1, 1]}});
for (const v of [0.05, 0.5, 5]) latency.record(v);

provider.shutdown();
