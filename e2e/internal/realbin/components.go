package realbin

// component is one module below e2e/tools and what to build from it.
type component struct {
	module   string            // folder below e2e/tools
	tags     string            // comma separated, may be empty
	version  string            // stamped where the program reads its version, may be empty
	stamp    string            // the variable that is stamped, if it is not versionVar
	programs map[string]string // name of the binary: its package
}

// versionVar is where programs of the Prometheus family keep their version.
// A scraper tells it in its User-Agent, so a program without one would not
// behave as the released one does.
const versionVar = "github.com/prometheus/common/version.Version"

// group is a set of components that are built together, into one folder.
type group []component

// suite are the programs of the end-to-end suite. What is built from where is decided by
// the go.mod and go.sum files in e2e/tools, one small module each: in one
// module they would move each other's dependencies.
var suite = group{
	{
		module:  "nodeexporter",
		version: "1.12.1",
		programs: map[string]string{
			NodeExporter: "github.com/prometheus/node_exporter",
		},
	},
	{
		module: "prometheus",
		// Every service discovery but the two that charts use doubles the build.
		tags:    "remove_all_sd,enable_dns_sd,enable_kubernetes_sd",
		version: "3.15.0",
		programs: map[string]string{
			Prometheus: "github.com/prometheus/prometheus/cmd/prometheus",
			Promtool:   "github.com/prometheus/prometheus/cmd/promtool",
		},
	},
	{
		// It keeps only the first of several samples of a series in a scrape.
		module:  "prometheus253",
		version: "2.53.1",
		programs: map[string]string{
			Prometheus253: "github.com/prometheus/prometheus/cmd/prometheus",
		},
	},
	{
		module: "thanos",
		// Without slicelabels "thanos query" panics.
		tags:    "slicelabels",
		version: "0.42.4",
		programs: map[string]string{
			Thanos: "github.com/thanos-io/thanos/cmd/thanos",
		},
	},
}

// peers are the programs that the benchmark measures a hub beside.
var peers = group{
	{
		module:  "prometheusedgehub",
		version: "1.1.0",
		programs: map[string]string{
			PrometheusEdgeHub: "github.com/facebookincubator/prometheus-edge-hub",
		},
	},
	{
		module:  "pushgateway",
		version: "1.11.3",
		programs: map[string]string{
			Pushgateway: "github.com/prometheus/pushgateway",
		},
	},
	victoriaMetrics,
}

// scrapers are the programs other than Prometheus that a hub is scraped by.
var scrapers = group{
	victoriaMetrics,
	{
		// From 1.111 on it refuses a response of more than 16 MiB.
		module:  "vmagent151",
		version: "1.151.0",
		stamp:   victoriaMetrics.stamp,
		programs: map[string]string{
			VMAgent151: "github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent",
		},
	},
	{
		module: "otelcol", // its version is in its main.go
		programs: map[string]string{
			OTelCol: "github.com/hubring/hubring/e2e/tools/otelcol",
		},
	},
	{
		module: "telegraf",
		// All other plugins would take most of the build, and modules that are not to be had.
		tags:    "custom,inputs.prometheus,outputs.http,serializers.json,serializers.prometheusremotewrite",
		version: "1.39.0",
		stamp:   "github.com/influxdata/telegraf/internal.Version",
		programs: map[string]string{
			Telegraf: "github.com/influxdata/telegraf/cmd/telegraf",
		},
	},
}

// queries are the servers other than Prometheus whose answers are measured.
var queries = group{
	{
		module:  "victoriametrics151",
		version: "1.151.0",
		stamp:   victoriaMetrics.stamp,
		programs: map[string]string{
			VictoriaMetrics151: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
		},
	},
}

var victoriaMetrics = component{
	module:  "victoriametrics",
	version: "1.110.0",
	stamp:   "github.com/VictoriaMetrics/VictoriaMetrics/lib/buildinfo.Version",
	programs: map[string]string{
		VictoriaMetrics: "github.com/VictoriaMetrics/VictoriaMetrics/app/victoria-metrics",
		VMAgent:         "github.com/VictoriaMetrics/VictoriaMetrics/app/vmagent",
	},
}

// cluster are the programs around the chart: what judges its manifests, what its
// alerts go to, and a stand-in for object storage. etcd has its version in its source.
var cluster = group{
	{
		module:  "alertmanager",
		version: "0.31.1",
		programs: map[string]string{
			Alertmanager: "github.com/prometheus/alertmanager/cmd/alertmanager",
			Amtool:       "github.com/prometheus/alertmanager/cmd/amtool",
		},
	},
	{
		module: "gofakes3",
		programs: map[string]string{
			GoFakeS3: "github.com/johannesboyne/gofakes3/cmd/gofakes3",
		},
	},
	{
		module: "kube",
		// Without it the server calls itself v0.0.0-master.
		version: "v1.36.3",
		stamp:   "k8s.io/component-base/version.gitVersion",
		programs: map[string]string{
			Etcd:          "go.etcd.io/etcd/server/v3",
			KubeAPIServer: "k8s.io/kubernetes/cmd/kube-apiserver",
		},
	},
}
