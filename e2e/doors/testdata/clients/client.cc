// Pushes with prometheus-cpp: client HOST PORT JOB, and lines on standard input, a word, a tab and an instance. What comes of
// each is a line on standard output.
#include <iostream>
#include <memory>
#include <string>

#include <prometheus/counter.h>
#include <prometheus/gateway.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/summary.h>

using namespace prometheus;

int main(int, char** argv) {
  const std::string host = argv[1], port = argv[2], job = argv[3];

  auto backup = std::make_shared<Registry>();
  BuildCounter().Name("backup_rows_total").Help("Rows.").Register(*backup).Add({}).Increment(42);
  BuildGauge().Name("backup_size_bytes").Help("Size.").Register(*backup).Add({}).Set(1.5);
  auto& seconds = BuildHistogram().Name("backup_seconds").Help("Time.").Register(*backup).Add({}, Histogram::BucketBoundaries{1, 10});
  seconds.Observe(0.5);
  seconds.Observe(5);
  auto& wait = BuildSummary().Name("backup_wait_seconds").Help("Waiting.").Register(*backup).Add({}, Summary::Quantiles{{0.5, 0.05}});
  wait.Observe(2);
  wait.Observe(4);

  auto more = std::make_shared<Registry>();
  BuildGauge().Name("backup_verified").Help("Whether it was read again.").Register(*more).Add({}).Set(7);

  for (std::string line; std::getline(std::cin, line);) {
    const auto tab = line.find('\t');
    const std::string word = line.substr(0, tab), instance = line.substr(tab + 1);
    Gateway gateway{host, port, job, {{"instance", instance}}};
    int status = 0;
    // The other way round than other clients: its PushAdd is PUT, which replaces, and its Push is POST.
    if (word == "push") {
      gateway.RegisterCollectable(backup);
      status = gateway.PushAdd();
    } else if (word == "add") {
      gateway.RegisterCollectable(more);
      status = gateway.Push();
    } else if (word == "delete") {
      status = gateway.DeleteForInstance();
    }
    // On a line of its own: libcurl has written the answer's body.
    if (status == 200 || status == 202) {
      std::cout << std::endl << "ok" << std::endl;
    } else {
      std::cout << std::endl << "failed: " << status << std::endl;
    }
  }
}
